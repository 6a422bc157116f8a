"""Plugins that change how probable each next token of an answer is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from .plugin import Plugin
from .tensor import Tensor, call


class Generation:
    """The answer whose next token is to be chosen."""

    def __init__(self, handle: Any) -> None:
        """For the backends."""
        self.handle = handle

    def prompt(self) -> list[int]:
        """Token ids of the prompt."""
        return list(self.handle.prompt())

    def answer(self) -> list[int]:
        """Token ids of the answer so far."""
        return list(self.handle.answer())

    def step(self) -> int:
        """Number of tokens of the answer so far: 0 for the first one."""
        return int(self.handle.step())

    def seed(self) -> int:
        """A number for this token, which follows from the request's seed, the number of the answer and the step alone.
        Random tensors are drawn from it, too."""
        return int(self.handle.seed())

    def memory(self) -> Any:
        """What was remembered at the token before; none at the first one, and where nothing was."""
        text = self.handle.memory()
        return None if text is None else json.loads(text)

    def remember(self, value: Any) -> None:
        """Keeps something for the next token of this answer, in the place of what was remembered before: what JSON can say,
        in at most 64 KiB."""
        call(self.handle.remember, json.dumps(value))


class Sampler(Plugin, ABC):
    """Changes how probable each next token of an answer is."""

    @abstractmethod
    def adjust(self, logits: Tensor, generation: Generation) -> Tensor:
        """The logits that the token is to be chosen by, from those of the model: both `[vocab]` and `float32`. Minus infinity
        rules a token out; one at least must be left. Must depend on nothing else than what it is given: answers that are
        generated side by side take turns. An error ends the request."""
