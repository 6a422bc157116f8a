"""Runs a sampler as the engine would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..sampler import Generation, Sampler
from ..tensor import Dtype, Tensor
from .array import array


@dataclass
class Answered:
    """An answer that is being generated, with what a test says of it. What a sampler remembers stays in it."""

    prompt: list[int] = field(default_factory=list[int])
    """Token ids of the prompt."""
    answer: list[int] = field(default_factory=list[int])
    """Token ids of the answer so far."""
    seed: int = 0
    """The number for the next token."""
    memory: str | None = None
    """What was remembered, as JSON."""


@dataclass
class _View:
    """The contract's `generation`."""

    answered: Answered

    def prompt(self) -> list[int]:
        return self.answered.prompt

    def answer(self) -> list[int]:
        return self.answered.answer

    def step(self) -> int:
        return len(self.answered.answer)

    def seed(self) -> int:
        return self.answered.seed

    def memory(self) -> str | None:
        return self.answered.memory

    def remember(self, text: str) -> None:
        self.answered.memory = text


def adjust(sampler: Sampler, logits: Sequence[float], answered: Answered | None = None) -> list[float]:
    """What a sampler makes of logits."""
    given = Tensor(array(logits, Dtype.FLOAT32))
    return sampler.adjust(given, Generation(_View(answered or Answered()))).to_list()
