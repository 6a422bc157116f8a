"""Plugins that judge answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .plugin import Plugin


@dataclass
class Completion:
    """An answer to be judged."""

    text: str
    """The answer."""
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The conversation that it answers: `{"role": …, "content": …}`."""
    token_ids: list[int] = field(default_factory=list[int])
    """Its token ids."""
    finished: bool = True
    """Whether it ended by itself and was not cut off."""
    columns: dict[str, Any] = field(default_factory=dict[str, Any])
    """The other columns of the row that it answers: `solution`."""


class Reward(Plugin, ABC):
    """Judges answers."""

    @abstractmethod
    def score(self, completion: Completion) -> float | None:
        """A number for one answer; none where the reward does not apply to it."""

    def score_all(self, completions: Sequence[Completion]) -> list[float | None]:
        """A number for each answer, in their order, for rewards that compare answers."""
        return [self.score(completion) for completion in completions]
