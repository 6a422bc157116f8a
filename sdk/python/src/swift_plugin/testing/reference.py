"""The reference backend: the contract's functions on NumPy arrays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeMismatch
from ..tensor import Dtype
from . import elementwise, reductions, shapes
from .array import OPERATIONS, Array, array

__all__ = ["OPERATIONS", "Reference", "elementwise", "reductions"]

# The seed of a run by default.
_random = np.random.default_rng(42)


class Reference:
    """What tensors are computed by in unit tests."""

    def error(self, failure: Exception) -> Exception:
        """The failure itself: operations raise the contract's errors."""
        return failure

    def call(self, name: str, *arguments: Any) -> Array:
        """Calls one of `FUNCTIONS`."""
        made: Array = FUNCTIONS[name](*arguments)
        return made

    def write(self, level: str, message: str) -> None:
        """Writes a line to stderr."""
        print(f"{level}: {message}", file=sys.stderr)


def from_list(values: Sequence[float], shape: Sequence[int], dtype: Dtype) -> Array:
    """A tensor of `shape` from `values` in row-major order."""
    if len(values) != np.prod(shape, dtype=int):
        raise ShapeMismatch(f"shape mismatch in `from_list`: {len(values)} values, shape {list(shape)}")
    return array(np.asarray(values).reshape(shape), dtype)


FUNCTIONS: dict[str, Any] = {
    "from_list": from_list,
    "full": lambda value, shape, dtype: array(np.full(shape, value), dtype),
    "arange": lambda count: array(np.arange(count), Dtype.INT64),
    "uniform": lambda low, high, shape, dtype: array(_random.uniform(low, high, shape), dtype),
    "normal": lambda mean, deviation, shape, dtype: array(_random.normal(mean, deviation, shape), dtype),
    "cat": shapes.cat,
    "stack": shapes.stack,
}
