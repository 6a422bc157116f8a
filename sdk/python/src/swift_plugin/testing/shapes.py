"""Operations on shapes and indices, matrix products, and what makes arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InvalidArgument, ShapeMismatch
from ..tensor import Dtype
from .array import (
    FLOATS,
    Array,
    Backward,
    Numbers,
    array,
    dimension,
    mismatch,
    operation,
    result,
    want_float,
    want_kind,
)
from .elementwise import fold


@operation
def matmul(a: Array, b: Array) -> Array:
    want_float("matmul", a)
    if a.kind is not b.kind:
        raise mismatch("matmul", a.kind, b.kind)
    try:
        y = a.value @ b.value if min(a.value.ndim, b.value.ndim) >= 2 else np.matmul(1, 1)
    except ValueError:
        raise ShapeMismatch(f"shape mismatch in `matmul`: lhs {a.shape()}, rhs {b.shape()}") from None
    to_first: Backward = lambda gradient: fold(gradient @ b.value.swapaxes(-1, -2), a.value.shape)
    to_second: Backward = lambda gradient: fold(a.value.swapaxes(-1, -2) @ gradient, b.value.shape)
    return result("matmul", y, a, (a, to_first), (b, to_second))


def _scattered(x: Array, places: tuple[Numbers, ...]) -> Backward:
    """Adds each element of a gradient where its value came from."""

    def back(gradient: Numbers) -> Numbers:
        total = np.zeros(x.value.shape)
        np.add.at(total, places, gradient)
        return total

    return back


@operation
def gather(x: Array, dim: int, index: Array) -> Array:
    want_kind("gather", index, Dtype.INT64, Dtype.UINT32)
    along = dimension("gather", x, dim)
    if index.value.ndim != x.value.ndim:
        raise ShapeMismatch(f"shape mismatch in `gather`: lhs {x.shape()}, rhs {index.shape()}")
    _check_index("gather", index, x.value.shape[along])
    places: list[Numbers] = list(np.indices(index.value.shape, sparse=True))
    places[along] = index.value
    return result("gather", x.value[tuple(places)], x, (x, _scattered(x, tuple(places))))


@operation
def index_select(x: Array, dim: int, index: Array) -> Array:
    want_kind("index_select", index, Dtype.INT64, Dtype.UINT32)
    along = dimension("index_select", x, dim)
    _check_index("index_select", index, x.value.shape[along])

    def back(gradient: Numbers) -> Numbers:
        total = np.zeros(x.value.shape)
        np.add.at(np.moveaxis(total, along, 0), index.value, np.moveaxis(gradient, along, 0))
        return total

    return result("index_select", x.value.take(index.value, axis=along), x, (x, back))


def _check_index(name: str, index: Array, size: int) -> None:
    if index.value.size and not 0 <= index.value.min() <= index.value.max() < size:
        raise InvalidArgument(f"invalid argument in `{name}`: an index is not below {size}")


@operation
def narrow(x: Array, dim: int, start: int, length: int) -> Array:
    along = dimension("narrow", x, dim)
    if not 0 <= start <= start + length <= x.value.shape[along]:
        size = x.value.shape[along]
        raise InvalidArgument(f"invalid argument in `narrow`: {start} + {length} of {size} in dimension {along}")
    part = (slice(None),) * along + (slice(start, start + length),)

    def back(gradient: Numbers) -> Numbers:
        total = np.zeros(x.value.shape)
        total[part] = gradient
        return total

    return result("narrow", x.value[part], x, (x, back))


@operation
def reshape(x: Array, shape: Sequence[int]) -> Array:
    try:
        y = x.value.reshape(shape)
    except ValueError:
        raise ShapeMismatch(f"shape mismatch in `reshape`: lhs {x.shape()}, rhs {list(shape)}") from None
    return result("reshape", y, x, (x, lambda gradient: gradient.reshape(x.value.shape)))


@operation
def transpose(x: Array, first: int, second: int) -> Array:
    a, b = dimension("transpose", x, first), dimension("transpose", x, second)
    return result("transpose", x.value.swapaxes(a, b), x, (x, lambda gradient: gradient.swapaxes(a, b)))


@operation
def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    try:
        y = np.broadcast_to(x.value, tuple(shape))
    except ValueError:
        raise ShapeMismatch(f"shape mismatch in `broadcast_to`: lhs {x.shape()}, rhs {list(shape)}") from None
    return result("broadcast_to", y, x, (x, lambda gradient: fold(gradient, x.value.shape)))


@operation
def cast(x: Array, to: Dtype) -> Array:
    differentiable = to in FLOATS and x.kind in FLOATS
    return result("cast", x.value, to, (x, (lambda gradient: gradient) if differentiable else None))


@operation
def detach(x: Array) -> Array:
    return array(x.value, x.kind)


def cat(tensors: Sequence[Array], dim: int) -> Array:
    """Joins along an existing dimension."""
    first = _alike("cat", tensors)
    along = dimension("cat", first, dim)
    try:
        y = np.concatenate([each.value for each in tensors], axis=along)
    except ValueError:
        raise ShapeMismatch(f"shape mismatch in `cat`: {[each.shape() for each in tensors]}") from None
    ends = np.cumsum([each.value.shape[along] for each in tensors])

    def part(number: int) -> Backward:
        return lambda gradient: np.split(gradient, ends[:-1], axis=along)[number]

    return result("cat", y, first, *((each, part(number)) for number, each in enumerate(tensors)))


def stack(tensors: Sequence[Array], dim: int) -> Array:
    """Joins along a new dimension."""
    rank = _alike("stack", tensors).value.ndim + 1
    place = dim % rank
    widened: list[Array] = [
        each.reshape([*each.shape()[:place], 1, *each.shape()[place:]]) for each in tensors
    ]
    return cat(widened, place)


def _alike(name: str, tensors: Sequence[Array]) -> Array:
    if not tensors:
        raise InvalidArgument(f"invalid argument in `{name}`: there are no tensors")
    for each in tensors:
        if each.kind is not tensors[0].kind:
            raise mismatch(name, tensors[0].kind, each.kind)
    return tensors[0]
