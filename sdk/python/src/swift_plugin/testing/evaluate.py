"""Computes losses with their metrics and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..batch import Batch, Outputs
from ..errors import Error
from ..loss import Loss, Report
from ..tensor import Tensor
from .array import Array, gradients
from .batch import BatchView, PackedBatch
from .outputs import COLUMNS, ModelOutputs, OutputArrays

# In `float64` the error of the difference is about 1e-10 (of the formula) plus 1e-11 (of rounding).
STEP = 1e-5
TOLERANCE = 1e-7


@dataclass
class Evaluation:
    """What a loss made of a batch."""

    loss: float
    """The loss."""
    metrics: dict[str, float]
    """The mean of each metric's observations, in the order of the report."""
    gradients: dict[str, list[float]]
    """The gradient of the loss by each of the policy's differentiable outputs that the test gave."""


def evaluate(
    loss: Loss, batch: PackedBatch, policy: ModelOutputs, reference: ModelOutputs | None = None
) -> Evaluation:
    """Computes a loss, its metrics and its gradients."""
    report, outputs = _report(loss, batch, policy, reference)
    value = _scalar(report.loss)
    sums = gradients(report.loss.handle)

    def gradient(name: str, given: Array) -> list[float]:
        found = sums.get(id(given), np.zeros(given.value.shape))
        if COLUMNS[name].unlabelled is not None:
            found = found * np.asarray(batch.mask())
        return [float(each) for each in found.ravel()]

    trained = {name: gradient(name, given) for name, given in outputs.arrays.items() if given.trained}
    metrics = {name: _mean(name, values, weights) for name, values, weights in report.metrics}
    return Evaluation(value, metrics, trained)


def check_gradient(
    loss: Loss, batch: PackedBatch, policy: ModelOutputs, reference: ModelOutputs | None = None
) -> None:
    """Compares the gradient of a loss by each of the policy's differentiable outputs with central finite differences.

    Raises `AssertionError` for the first element whose gradients differ, with both.
    """
    for name, gradient in evaluate(loss, batch, policy, reference).gradients.items():
        values = [float(value) for value in policy.given()[name]]
        for element, analytic in enumerate(gradient):
            if COLUMNS[name].unlabelled is not None and not batch.mask()[element]:
                continue

            def moved(by: float) -> float:
                there = [*values[:element], values[element] + by, *values[element + 1 :]]
                elsewhere = replace(policy)
                setattr(elsewhere, name, there)
                return _scalar(_report(loss, batch, elsewhere, reference)[0].loss)

            numeric = (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
            if not abs(analytic - numeric) <= TOLERANCE * (1.0 + abs(numeric)):
                raise AssertionError(
                    f"the gradient by `{name}` {element} is {analytic}, by finite differences {numeric}"
                )


def _report(
    loss: Loss, batch: PackedBatch, policy: ModelOutputs, reference: ModelOutputs | None
) -> tuple[Report, OutputArrays]:
    outputs = policy.arrays(batch, trained=True)
    compared = None if reference is None else Outputs(reference.arrays(batch, trained=False))
    view = Batch(BatchView(batch, loss.requirements().input))
    return loss.compute(view, Outputs(outputs), compared), outputs


def _scalar(tensor: Tensor) -> float:
    if tensor.shape:
        raise Error(f"the loss has shape {list(tensor.shape)}, not that of a scalar")
    return tensor.item()


def _mean(name: str, values: Tensor, weights: Tensor | None) -> float:
    observations: Sequence[float] = values.to_list()
    counts = [1.0] * len(observations) if weights is None else weights.to_list()
    if len(counts) != len(observations):
        raise Error(f"metric `{name}` has {len(observations)} observations and {len(counts)} weights")
    return float(np.average(observations, weights=counts))
