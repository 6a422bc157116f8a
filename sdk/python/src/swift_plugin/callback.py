"""Plugins that watch a run and steer it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .plugin import Plugin
from .tensor import Tensor


class Event(Enum):
    """What has just happened."""

    TRAIN_BEGIN = 0
    """Before the first step."""
    STEP_END = 1
    """After an optimiser step."""
    LOG = 2
    """A line was logged; its numbers are in the run's metrics."""
    EVALUATE = 3
    """The validation set was evaluated; its numbers are in the run's metrics."""
    SAVE = 4
    """A checkpoint was written."""
    EPOCH_END = 5
    """A pass over the training data ended."""
    TRAIN_END = 6
    """After the last step."""


@dataclass
class RunState:
    """Where a run is."""

    step: int = 0
    """Optimiser steps taken."""
    max_steps: int = 0
    """Steps planned."""
    epoch: float = 0.0
    """Passes over the data, with the fraction of the current one."""
    learning_rate: float = 0.0
    """The learning rate of the last step."""
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    """The event's numbers, as logged: `loss`, `eval_loss`."""


class Run:
    """The run that goes on: where it is, and what it has learned so far."""

    def __init__(self, state: RunState, handle: Any) -> None:
        """For the backends."""
        self.state = state
        self.handle = handle

    def metric(self, name: str) -> float | None:
        """One of the event's numbers, as logged: `loss`, `eval_loss`."""
        return self.state.metrics.get(name)

    def parameter_names(self) -> list[str]:
        """Names of the trained parameters, in the optimiser's order."""
        return list(self.handle.parameter_names())

    def parameter(self, name: str) -> Tensor | None:
        """The present value of a trained parameter, in its own shape and element type; none if there is no such one."""
        found = self.handle.parameter(name)
        return None if found is None else Tensor(found)


@dataclass(frozen=True)
class Save:
    """Write a checkpoint."""


@dataclass(frozen=True)
class Evaluate:
    """Evaluate the validation set."""


@dataclass(frozen=True)
class Stop:
    """End the run in good order."""

    reason: str
    """For the log."""


@dataclass(frozen=True)
class LogMetric:
    """Add a number to the next log line."""

    name: str
    """As it is logged."""
    value: float
    """The number."""


Action = Save | Evaluate | Stop | LogMetric
"""What the trainer shall do next."""


class Callback(Plugin, ABC):
    """Watches a run and steers it. What it keeps between events is declared with `remembered`."""

    @abstractmethod
    def on_event(self, event: Event, run: Run) -> Iterable[Action]:
        """Called after each event, with the run as it is. Gives what the trainer shall do next."""
