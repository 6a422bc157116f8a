"""Training objectives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum

from .batch import Batch, Outputs
from .plugin import Plugin
from .tensor import Tensor


class Input(Enum):
    """What a row must look like and what lies in a batch."""

    CAUSAL = 0
    """One conversation a row, the answers labelled."""
    PREFERENCE_PAIRS = 1
    """A chosen and a rejected answer a row: a batch holds all chosen sequences, then all rejected ones."""
    UNPAIRED_PREFERENCE = 2
    """One conversation a row, and whether its answer is wanted, in the column `label`."""
    UNPAIRED_PREFERENCE_WITH_MISMATCHES = 3
    """As `UNPAIRED_PREFERENCE`; a batch also holds, after all rows' sequences, each row's question with the answer of its
    neighbour in the accumulation window, for an estimate of the divergence from the reference."""
    LABELLED = 4
    """One text a row, of which nothing is labelled, and a column `label`: a class, a list of classes, or numbers."""
    GROUPS = 5
    """An anchor, then its positive, then its negative texts a row, one row after the other."""
    ROLLOUTS = 6
    """Prompts with the answers that the model gave to them, and what the trainer knows of them as `token_field`s."""


class TrainedParts(Enum):
    """Which parts of a conversation are trained on unless the user says otherwise."""

    ANSWERS = 0
    """All answers."""
    LAST_ROUND = 1
    """The answers after the last question."""
    EVERYTHING = 2
    """Every token."""


@dataclass(kw_only=True)
class Requirements:
    """What a loss needs of the trainer. Conversations and nothing else, unless it says so."""

    input: Input = Input.CAUSAL
    """The kind of rows."""
    trained_parts: TrainedParts = TrainedParts.ANSWERS
    """The parts that are trained on by default."""
    reference: bool = False
    """Whether `compute` gets the outputs of the frozen reference model."""
    teacher: bool = False
    """Whether the batch has the outputs of a teacher model."""
    score_head: int | None = None
    """A trained linear layer without bias on the hidden states, and its outputs; 0 for as many as the run says."""
    disable_dropout: bool = False
    """Whether dropout would harm it (the two sides of a comparison must see the same network)."""


class Report:
    """A loss and the numbers to log with it."""

    def __init__(self, loss: Tensor) -> None:
        """`loss` is a scalar: this micro-batch's share of the loss of the whole accumulation window."""
        self.loss = loss
        self.metrics: list[tuple[str, Tensor, Tensor | None]] = []

    def metric(self, name: str, observations: Tensor, weights: Tensor | None = None) -> Report:
        """Adds a number to log: the mean of all observations, of any shape, since the last log line. `weights` has a
        weight for each observation."""
        self.metrics.append((name, observations, weights))
        return self


class Loss(Plugin, ABC):
    """A training objective: hyper-parameters and one function."""

    def requirements(self) -> Requirements:
        """What the loss needs of the trainer."""
        return Requirements()

    @abstractmethod
    def compute(self, batch: Batch, policy: Outputs, reference: Outputs | None) -> Report:
        """Computes the loss of one micro-batch: its share of the loss of the whole accumulation window, so that shares can
        be summed. `reference` has the outputs of the frozen reference model if the requirements ask for it."""
