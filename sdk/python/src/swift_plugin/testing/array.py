"""Arrays with gradients: what takes the place of the host's tensors in unit tests.

An array keeps the element type that the contract says, and mistakes in element types are found as on the host; but all
floating-point numbers are computed in `float64`, so that formulas can be compared with numbers made by hand and gradients
with finite differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DtypeMismatch, Error, InvalidArgument, Unsupported
from ..tensor import Dtype

Numbers = npt.NDArray[Any]
Backward = Callable[[Numbers], Numbers]
"""The vector-Jacobian product of an operation: from the gradient of its result to that of an input."""

FLOATS = (Dtype.FLOAT64, Dtype.FLOAT32, Dtype.BFLOAT16, Dtype.FLOAT16)
_STORED: dict[Dtype, type] = {Dtype.INT64: np.int64, Dtype.UINT32: np.uint32, Dtype.UINT8: np.uint8}

OPERATIONS: dict[str, Callable[..., Array]] = {}
"""The contract's operations by name. The modules beside this one fill it."""


@dataclass(eq=False)
class Array:
    """An array and what it was computed from. Has the contract's methods, through `OPERATIONS`."""

    value: Numbers
    kind: Dtype
    operation: str = ""
    # Inputs that a gradient flows to, or is not allowed to.
    inputs: list[tuple[Array, Backward | None]] = field(default_factory=list["tuple[Array, Backward | None]"])
    trained: bool = False

    def __getattr__(self, name: str) -> Callable[..., Array]:
        if name not in OPERATIONS:
            raise AttributeError(name)
        return partial(OPERATIONS[name], self)

    def shape(self) -> list[int]:
        """The size of each dimension."""
        return list(self.value.shape)

    def dtype(self) -> Dtype:
        """The element type."""
        return self.kind

    def to_list(self) -> list[float]:
        """All elements in row-major order."""
        return [float(element) for element in self.value.ravel()]


def operation(function: Callable[..., Array]) -> Callable[..., Array]:
    """Makes a function one of the contract's operations, by its name less a trailing underscore."""
    OPERATIONS[function.__name__.rstrip("_")] = function
    return function


def array(values: Any, kind: Dtype) -> Array:
    """An array of `values` that was computed from nothing."""
    return Array(np.asarray(values).astype(_STORED.get(kind, np.float64)), kind)


def result(
    name: str, value: Numbers, like: Array | Dtype, *inputs: tuple[Array, Backward | None]
) -> Array:
    """The result of an operation. An input whose `Backward` is none gives an error if a gradient is asked for through it."""
    kind = like.kind if isinstance(like, Array) else like
    made = array(value, kind)
    made.operation = name
    made.inputs = [(source, back) for source, back in inputs if source.trained or source.inputs]
    return made


def gradients(root: Array) -> dict[int, Numbers]:
    """The gradient of a scalar by each trained array behind it, by the array's `id`."""
    sums: dict[int, Numbers] = {id(root): np.ones_like(root.value, dtype=np.float64)}
    for node in reversed(_in_order(root)):
        gradient = sums[id(node)]
        for source, back in node.inputs:
            if back is None:
                raise Error(f"`{node.operation}` is not differentiable, and a gradient was asked for through it")
            part = back(gradient)
            sums[id(source)] = sums[id(source)] + part if id(source) in sums else part
    return sums


def _in_order(root: Array) -> list[Array]:
    """The arrays behind `root`, each after what it was computed from."""
    order: list[Array] = []
    seen: set[int] = set()
    pending: list[tuple[Array, bool]] = [(root, False)]
    while pending:
        node, finished = pending.pop()
        if finished:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            pending.extend((source, False) for source, _ in node.inputs)
    return order


def want_float(name: str, x: Array) -> None:
    """Refuses whole numbers where an operation takes none."""
    if x.kind not in FLOATS:
        raise Unsupported(f"unsupported in `{name}`: {x.kind.name.lower()}")


def want_kind(name: str, x: Array, *kinds: Dtype) -> None:
    """Refuses other element types than these."""
    if x.kind not in kinds:
        raise mismatch(name, x.kind, kinds[0])


def mismatch(name: str, left: Dtype, right: Dtype) -> DtypeMismatch:
    """Two element types that should have been one."""
    return DtypeMismatch(f"dtype mismatch in `{name}`: lhs {left.name.lower()}, rhs {right.name.lower()}")


def dimension(name: str, x: Array, dim: int) -> int:
    """A dimension counted from the front."""
    rank = x.value.ndim
    if not -rank <= dim < rank:
        raise InvalidArgument(f"invalid argument in `{name}`: dimension {dim} of {rank}")
    return dim % rank


def dimensions(name: str, x: Array, dims: Sequence[int]) -> tuple[int, ...]:
    """Dimensions counted from the front; all of them if none is named."""
    return tuple(dimension(name, x, dim) for dim in dims) or tuple(range(x.value.ndim))
