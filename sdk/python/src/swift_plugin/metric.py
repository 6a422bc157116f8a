"""Plugins that measure a model on a validation set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from .batch import Batch, Outputs
from .plugin import Plugin


class Metric(Plugin, ABC):
    """Measures a model on a validation set. What it gathers from one batch to the next is declared with `remembered`."""

    @abstractmethod
    def observe(self, batch: Batch, policy: Outputs) -> None:
        """Looks at one batch of the validation set. Called for all of them, in order."""

    @abstractmethod
    def finish(self) -> Mapping[str, float]:
        """The numbers of all batches, by name: `perplexity`. They are logged with `eval_` before them. Afterwards what is
        remembered is forgotten."""
