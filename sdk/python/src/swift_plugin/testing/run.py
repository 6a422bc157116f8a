"""Runs the other kinds of plugins as the host would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..batch import Batch, Outputs
from ..callback import Action, Callback, Event, Run, RunState
from ..loss import Input
from ..metric import Metric
from ..optimizer import OptimizedParameter, Optimizer, Step
from ..tensor import Dtype, Tensor
from .array import Array, array
from .batch import BatchView, PackedBatch
from .outputs import ModelOutputs


@dataclass
class _Parameters:
    """The contract's `run`."""

    values: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    def parameter_names(self) -> list[str]:
        return list(self.values)

    def parameter(self, name: str) -> Array | None:
        found = self.values.get(name)
        return None if found is None else found.detach().handle


def tell(
    callback: Callback, event: Event, state: RunState, parameters: Mapping[str, Tensor] | None = None
) -> list[Action]:
    """Tells a callback of an event of a run with these trained parameters. Gives what the trainer shall do."""
    return list(callback.on_event(event, Run(state, _Parameters(parameters or {}))))


def measure(metric: Metric, batches: Sequence[tuple[PackedBatch, ModelOutputs]]) -> dict[str, float]:
    """The numbers that a metric finds on a validation set."""
    for batch, policy in batches:
        metric.observe(Batch(BatchView(batch, Input.CAUSAL)), Outputs(policy.arrays(batch, trained=False)))
    found = dict(metric.finish())
    metric.forget()
    return found


def descend(
    optimizer: Optimizer, value: Sequence[float], gradients: Sequence[Sequence[float]], learning_rate: float
) -> list[float]:
    """What becomes of a parameter, a vector, that has these gradients in steps one after the other."""
    parameter = OptimizedParameter("weight", [len(value)])
    present = Tensor(array(value, Dtype.FLOAT32))
    slots = [Tensor(array(np.zeros(slot.shape), Dtype.FLOAT32)) for slot in optimizer.slots(parameter)]
    for number, gradient in enumerate(gradients, start=1):
        towards = Tensor(array(gradient, Dtype.FLOAT32))
        update = optimizer.update(parameter, present, towards, slots, Step(number, learning_rate))
        present, slots = update.value, list(update.slots)
    return present.to_list()
