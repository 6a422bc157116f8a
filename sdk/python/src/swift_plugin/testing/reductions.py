"""Operations along dimensions: sums, extremes, softmax, order, segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import InvalidArgument, ShapeMismatch
from ..tensor import Dtype
from .array import Array, Backward, Numbers, dimension, dimensions, operation, result, want_float, want_kind


def _spread(gradient: Numbers, x: Array, dims: tuple[int, ...], keep: bool) -> Numbers:
    """A gradient of a reduction, repeated over what was reduced."""
    kept = gradient if keep else np.expand_dims(gradient, dims)
    return np.broadcast_to(kept, x.value.shape)


@operation
def sum_(x: Array, dims: Sequence[int], keep: bool) -> Array:
    over = dimensions("sum", x, dims)
    y = x.value.sum(axis=over, keepdims=keep)
    return result("sum", y, x, (x, lambda gradient: _spread(gradient, x, over, keep)))


@operation
def mean(x: Array, dims: Sequence[int], keep: bool) -> Array:
    want_float("mean", x)
    over = dimensions("mean", x, dims)
    count = int(np.prod([x.value.shape[dim] for dim in over]))
    y = x.value.sum(axis=over, keepdims=keep) / (count or np.nan)
    return result("mean", y, x, (x, lambda gradient: _spread(gradient, x, over, keep) / count))


def _extreme(name: str, x: Array, dim: int, keep: bool, of: Callable[..., Numbers]) -> Array:
    over = dimension(name, x, dim)
    kept = of(x.value, axis=over, keepdims=True)
    equal = x.value == kept
    shares = equal / equal.sum(axis=over, keepdims=True)
    y = kept if keep else kept.squeeze(over)
    return result(name, y, x, (x, lambda gradient: _spread(gradient, x, (over,), keep) * shares))


@operation
def max_(x: Array, dim: int, keep: bool) -> Array:
    return _extreme("max", x, dim, keep, np.max)


@operation
def min_(x: Array, dim: int, keep: bool) -> Array:
    return _extreme("min", x, dim, keep, np.min)


def _logsumexp(x: Numbers, dim: int) -> Numbers:
    return np.logaddexp.reduce(x, axis=dim, keepdims=True)


@operation
def logsumexp(x: Array, dim: int, keep: bool) -> Array:
    want_float("logsumexp", x)
    over = dimension("logsumexp", x, dim)
    kept = _logsumexp(x.value, over)
    shares = np.exp(x.value - kept)
    y = kept if keep else kept.squeeze(over)
    return result("logsumexp", y, x, (x, lambda gradient: _spread(gradient, x, (over,), keep) * shares))


@operation
def log_softmax(x: Array, dim: int) -> Array:
    want_float("log_softmax", x)
    over = dimension("log_softmax", x, dim)
    y = x.value - _logsumexp(x.value, over)
    back: Backward = lambda gradient: gradient - np.exp(y) * gradient.sum(axis=over, keepdims=True)
    return result("log_softmax", y, x, (x, back))


@operation
def softmax(x: Array, dim: int) -> Array:
    want_float("softmax", x)
    over = dimension("softmax", x, dim)
    y = np.exp(x.value - _logsumexp(x.value, over))
    back: Backward = lambda gradient: y * (gradient - (gradient * y).sum(axis=over, keepdims=True))
    return result("softmax", y, x, (x, back))


@operation
def cumsum(x: Array, dim: int) -> Array:
    over = dimension("cumsum", x, dim)
    back: Backward = lambda gradient: np.flip(np.flip(gradient, over).cumsum(axis=over), over)
    return result("cumsum", x.value.cumsum(axis=over), x, (x, back))


@operation
def argmax(x: Array, dim: int, keep: bool) -> Array:
    y = x.value.argmax(axis=dimension("argmax", x, dim), keepdims=keep)
    return result("argmax", y, Dtype.INT64, (x, None))


@operation
def argsort(x: Array, descending: bool) -> Array:
    if not x.value.ndim:
        raise InvalidArgument("invalid argument in `argsort`: a scalar has no last dimension")
    order = (-x.value if descending else x.value).argsort(axis=-1, kind="stable")
    return result("argsort", order, Dtype.INT64, (x, None))


@operation
def sort(x: Array, descending: bool) -> Array:
    ordered: Array = x.gather(-1, argsort(x.detach(), descending))
    return ordered


def _segments(name: str, x: Array, segments: Array, count: int) -> Numbers:
    want_kind(name, segments, Dtype.INT64)
    if segments.value.shape != x.value.shape[:1]:
        raise ShapeMismatch(f"shape mismatch in `{name}`: lhs {x.shape()}, rhs {segments.shape()}")
    if segments.value.size and not 0 <= segments.value.min() <= segments.value.max() < count:
        raise InvalidArgument(f"invalid argument in `{name}`: a segment is not below {count}")
    return segments.value


@operation
def segment_sum(x: Array, segments: Array, count: int) -> Array:
    places = _segments("segment_sum", x, segments, count)
    y = np.zeros((count, *x.value.shape[1:]), x.value.dtype)
    np.add.at(y, places, x.value)
    return result("segment_sum", y, x, (x, lambda gradient: gradient[places]))


@operation
def segment_mean(x: Array, segments: Array, count: int) -> Array:
    want_float("segment_mean", x)
    sizes = np.bincount(_segments("segment_mean", x, segments, count), minlength=count).clip(1)
    share = (1.0 / sizes).reshape(-1, *[1] * (x.value.ndim - 1))
    summed = segment_sum(x, segments, count)
    return result("segment_mean", summed.value * share, x, (summed, lambda gradient: gradient * share))
