"""Plugins that say how the learning rate changes."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .plugin import Plugin


class Schedule(Plugin, ABC):
    """How the learning rate changes in the course of a run."""

    @abstractmethod
    def factor(self, step: int, max_steps: int) -> float:
        """The factor on the learning rate for the step that follows `step` steps, of `max_steps`. Neither counts the steps
        of the warm-up, which the host takes care of. Must depend on nothing else, so that a resumed run goes on as it would
        have."""
