"""Plugins that say how parameters follow their gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from .plugin import Plugin
from .tensor import Tensor


@dataclass
class OptimizedParameter:
    """A trained parameter."""

    name: str
    """As in the checkpoint."""
    shape: list[int]
    """Its shape."""
    weight_decay: float = 0.0
    """Weight decay, 0 for parameters that are not decayed."""


@dataclass
class Slot:
    """A tensor that the optimiser keeps for a parameter between steps, zero at first."""

    name: str
    """Its name in checkpoints: `exp_avg`."""
    shape: list[int]
    """Its shape."""


@dataclass
class Step:
    """One optimiser step."""

    number: int
    """Counted from 1."""
    learning_rate: float
    """What the schedule says."""


@dataclass
class Update:
    """What becomes of a parameter and its slots."""

    value: Tensor
    """The new value, in the parameter's shape, `float32`."""
    slots: Sequence[Tensor] = ()
    """The new slots, in their order, `float32`."""


class Optimizer(Plugin, ABC):
    """How parameters follow their gradients."""

    def slots(self, parameter: OptimizedParameter) -> list[Slot]:
        """The tensors to keep for a parameter between steps; they are zero at first."""
        return []

    @abstractmethod
    def update(
        self, parameter: OptimizedParameter, value: Tensor, gradient: Tensor, slots: list[Tensor], step: Step
    ) -> Update:
        """Takes a step with one parameter. `value` and `gradient` are `float32` in the parameter's shape; the gradient is
        clipped."""
