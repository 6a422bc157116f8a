"""Operations element by element: functions of one number and of two."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..errors import ShapeMismatch
from ..tensor import Dtype
from .array import OPERATIONS, Array, Backward, Numbers, mismatch, operation, result, want_float

_erf = np.vectorize(math.erf, otypes=[np.float64])
_ROOT = math.sqrt(2.0 / math.pi)


def _sigmoid(x: Numbers) -> Numbers:
    return np.exp(-np.logaddexp(0.0, -x))


def _normal(x: Numbers) -> Numbers:
    """The density of the standard normal distribution."""
    return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _bend(x: Numbers) -> Numbers:
    """What the approximation of `gelu` takes the hyperbolic tangent of, and that tangent."""
    return np.tanh(_ROOT * (x + 0.044715 * x**3))


# Each with its derivative, from the argument `x` and the result `y`.
_UNARY: dict[str, tuple[Callable[[Numbers], Numbers], Callable[[Numbers, Numbers], Numbers]]] = {
    "neg": (np.negative, lambda x, y: np.full_like(y, -1.0)),
    "abs": (np.abs, lambda x, y: np.sign(x)),
    "exp": (np.exp, lambda x, y: y),
    "log": (np.log, lambda x, y: 1.0 / x),
    "sqrt": (np.sqrt, lambda x, y: 0.5 / y),
    "sin": (np.sin, lambda x, y: np.cos(x)),
    "cos": (np.cos, lambda x, y: -np.sin(x)),
    "tanh": (np.tanh, lambda x, y: 1.0 - y * y),
    "sigmoid": (_sigmoid, lambda x, y: y * (1.0 - y)),
    "log_sigmoid": (lambda x: -np.logaddexp(0.0, -x), lambda x, y: _sigmoid(-x)),
    "softplus": (lambda x: np.logaddexp(0.0, x), lambda x, y: _sigmoid(x)),
    "relu": (lambda x: np.maximum(x, 0.0), lambda x, y: (x > 0.0).astype(np.float64)),
    "gelu": (
        lambda x: x * (1.0 + _erf(x / math.sqrt(2.0))) / 2.0,
        lambda x, y: (1.0 + _erf(x / math.sqrt(2.0))) / 2.0 + x * _normal(x),
    ),
    "gelu_tanh": (
        lambda x: x * (1.0 + _bend(x)) / 2.0,
        lambda x, y: (1.0 + _bend(x)) / 2.0
        + x * (1.0 - _bend(x) ** 2) / 2.0 * _ROOT * (1.0 + 3.0 * 0.044715 * x * x),
    ),
    "silu": (lambda x: x * _sigmoid(x), lambda x, y: _sigmoid(x) * (1.0 + x * (1.0 - _sigmoid(x)))),
}
# These exist for whole numbers too.
_WHOLE = {"neg", "abs"}


def _prefers(first: Numbers, second: Numbers) -> Numbers:
    """1 where the first is greater, a half where they are equal."""
    return np.where(first == second, 0.5, first > second)


# Each with its derivatives by the two arguments `a` and `b`.
_Derivative = Callable[[Numbers, Numbers], Numbers]
_BINARY: dict[str, tuple[Callable[[Numbers, Numbers], Numbers], _Derivative, _Derivative]] = {
    "add": (np.add, lambda a, b: np.ones(()), lambda a, b: np.ones(())),
    "sub": (np.subtract, lambda a, b: np.ones(()), lambda a, b: -np.ones(())),
    "mul": (np.multiply, lambda a, b: b, lambda a, b: a),
    "div": (np.divide, lambda a, b: 1.0 / b, lambda a, b: -a / (b * b)),
    "maximum": (np.maximum, lambda a, b: _prefers(a, b), lambda a, b: _prefers(b, a)),
    "minimum": (np.minimum, lambda a, b: _prefers(b, a), lambda a, b: _prefers(a, b)),
}
_COMPARISONS: dict[str, Callable[[Numbers, Numbers], Numbers]] = {
    "eq": np.equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
}


def _unary(name: str) -> Callable[[Array], Array]:
    function, derivative = _UNARY[name]

    def apply(x: Array) -> Array:
        if name not in _WHOLE:
            want_float(name, x)
        with np.errstate(all="ignore"):
            y = function(x.value)
        return result(name, y, x, (x, lambda gradient: gradient * derivative(x.value, y)))

    return apply


def fits(name: str, a: Array, b: Array) -> None:
    """Refuses operands of different element types, and shapes that don't broadcast."""
    if a.kind is not b.kind:
        raise mismatch(name, a.kind, b.kind)
    try:
        np.broadcast_shapes(a.value.shape, b.value.shape)
    except ValueError:
        raise ShapeMismatch(f"shape mismatch in `{name}`: lhs {a.shape()}, rhs {b.shape()}") from None


def fold(gradient: Numbers, shape: tuple[int, ...]) -> Numbers:
    """Sums a gradient over the dimensions along which its input was repeated."""
    front = tuple(range(gradient.ndim - len(shape)))
    summed = gradient.sum(axis=front)
    repeated = tuple(i for i, size in enumerate(shape) if size == 1 and summed.shape[i] != 1)
    folded: Numbers = summed.sum(axis=repeated, keepdims=True)
    return folded


def _binary(name: str) -> Callable[[Array, Array], Array]:
    function, by_first, by_second = _BINARY[name]

    def apply(a: Array, b: Array) -> Array:
        fits(name, a, b)

        def back(derivative: _Derivative, shape: tuple[int, ...]) -> Backward:
            return lambda gradient: fold(gradient * derivative(a.value, b.value), shape)

        with np.errstate(all="ignore"):
            y = function(a.value, b.value)
        return result(name, y, a, (a, back(by_first, a.value.shape)), (b, back(by_second, b.value.shape)))

    return apply


def _comparison(name: str) -> Callable[[Array, Array], Array]:
    def apply(a: Array, b: Array) -> Array:
        fits(name, a, b)
        return result(name, _COMPARISONS[name](a.value, b.value), Dtype.UINT8, (a, None), (b, None))

    return apply


OPERATIONS.update({name: _unary(name) for name in _UNARY})
OPERATIONS.update({name: _binary(name) for name in _BINARY})
OPERATIONS.update({name: _comparison(name) for name in _COMPARISONS})


@operation
def scale(x: Array, by: float) -> Array:
    return result("scale", x.value * by, x, (x, lambda gradient: gradient * by))


@operation
def add_scalar(x: Array, value: float) -> Array:
    return result("add_scalar", x.value + value, x, (x, lambda gradient: gradient))


@operation
def pow_(x: Array, exponent: float) -> Array:
    want_float("pow", x)
    with np.errstate(all="ignore"):
        y = x.value**exponent
        # At zero the formula would make 0 * inf of the derivative of a constant.
        slope = np.zeros_like(y) if exponent == 0.0 else exponent * x.value ** (exponent - 1.0)
    return result("pow", y, x, (x, lambda gradient: gradient * slope))


@operation
def clamp(x: Array, low: float, high: float) -> Array:
    inside = (x.value >= low) & (x.value <= high)
    return result("clamp", x.value.clip(low, high), x, (x, lambda gradient: gradient * inside))


@operation
def choose(mask: Array, on_true: Array, on_false: Array) -> Array:
    fits("choose", on_true, on_false)
    chosen = mask.value != 0
    y = np.where(chosen, on_true.value, on_false.value)

    def back(where: Numbers, source: Array) -> tuple[Array, Backward]:
        return source, lambda gradient: fold(np.where(where, gradient, 0.0), source.value.shape)

    return result("choose", y, on_true, back(chosen, on_true), back(~chosen, on_false))
