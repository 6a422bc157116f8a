"""Tensors: handles to arrays that the host owns."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from ._backend import backend
from ._operations import Operations
from .errors import Error


class Dtype(Enum):
    """Element types."""

    FLOAT64 = 0
    FLOAT32 = 1
    BFLOAT16 = 2
    FLOAT16 = 3
    INT64 = 4
    UINT32 = 5
    UINT8 = 6


class Tensor(Operations):
    """A handle to an n-dimensional array that the host owns; nothing is copied into the plugin's memory.

    Operations are eager and run on the host. Each is differentiable in its floating-point inputs unless it says "not
    differentiable". Binary operations broadcast as NumPy does and want equal element types. A negative dimension counts
    from the end. `+ - * / @ **`, `abs` and comparisons work between tensors and with numbers; a comparison gives `uint8`.

    A handle is released with the last reference to it. It ends with the call that it was made in: keep numbers between
    calls, not tensors.
    """

    __slots__ = ("handle",)

    def __init__(self, handle: Any) -> None:
        """For the backends; a plugin gets tensors from its arguments, from operations and from `from_list`."""
        self.handle = handle

    def _operate(self, name: str, *arguments: Any) -> Tensor:
        # `call` written out: a plugin spends its time here.
        try:
            return Tensor(getattr(self.handle, name)(*arguments))
        except Exception as failure:
            raise backend().error(failure) from None

    def _operand(self, operand: Tensor | float) -> Any:
        """A tensor's handle; a number becomes a scalar of this tensor's element type."""
        return operand.handle if isinstance(operand, Tensor) else Tensor.full(operand, (), self.dtype).handle

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension; empty for a scalar."""
        return tuple(self.handle.shape())

    @property
    def dtype(self) -> Dtype:
        """The element type."""
        return Dtype(self.handle.dtype().value)

    def to_list(self) -> list[float]:
        """All elements in row-major order. The only way in which data enters the plugin's memory; its length is limited."""
        elements: list[float] = call(self.handle.to_list)
        return elements

    def item(self) -> float:
        """The only element of a tensor that has one."""
        match self.to_list():
            case [element]:
                return element
            case elements:
                raise Error(f"a tensor of {len(elements)} elements is no number")

    @staticmethod
    def from_list(values: Sequence[float], shape: Sequence[int], dtype: Dtype = Dtype.FLOAT32) -> Tensor:
        """A tensor of `shape` from `values` in row-major order."""
        return _made("from_list", [float(value) for value in values], list(shape), dtype)

    @staticmethod
    def full(value: float, shape: Sequence[int], dtype: Dtype = Dtype.FLOAT32) -> Tensor:
        """Every element `value`."""
        return _made("full", float(value), list(shape), dtype)

    @staticmethod
    def arange(count: int) -> Tensor:
        """`0, 1, .. count - 1` as `int64`."""
        return _made("arange", count)

    @staticmethod
    def uniform(low: float, high: float, shape: Sequence[int], dtype: Dtype = Dtype.FLOAT32) -> Tensor:
        """Uniform in `low .. high`, from the run's seed: the same run draws the same numbers."""
        return _made("uniform", low, high, list(shape), dtype)

    @staticmethod
    def normal(mean: float, deviation: float, shape: Sequence[int], dtype: Dtype = Dtype.FLOAT32) -> Tensor:
        """Normal, from the run's seed."""
        return _made("normal", mean, deviation, list(shape), dtype)

    @staticmethod
    def cat(tensors: Sequence[Tensor], dim: int) -> Tensor:
        """Joins along an existing dimension."""
        return _made("cat", [tensor.handle for tensor in tensors], dim)

    @staticmethod
    def stack(tensors: Sequence[Tensor], dim: int) -> Tensor:
        """Joins along a new dimension."""
        return _made("stack", [tensor.handle for tensor in tensors], dim)

    def __add__(self, other: Tensor | float) -> Tensor:
        return self.add(other) if isinstance(other, Tensor) else self.add_scalar(other)

    def __radd__(self, number: float) -> Tensor:
        return self.add_scalar(number)

    def __sub__(self, other: Tensor | float) -> Tensor:
        return self.sub(other) if isinstance(other, Tensor) else self.add_scalar(-other)

    def __rsub__(self, number: float) -> Tensor:
        return self.neg().add_scalar(number)

    def __mul__(self, other: Tensor | float) -> Tensor:
        return self.mul(other) if isinstance(other, Tensor) else self.scale(other)

    def __rmul__(self, number: float) -> Tensor:
        return self.scale(number)

    def __truediv__(self, other: Tensor | float) -> Tensor:
        return self.div(other) if isinstance(other, Tensor) else self.scale(1.0 / other)

    def __rtruediv__(self, number: float) -> Tensor:
        return self.pow(-1.0).scale(number)

    def __pow__(self, exponent: float) -> Tensor:
        return self.pow(exponent)

    def __matmul__(self, other: Tensor) -> Tensor:
        return self.matmul(other)

    def __neg__(self) -> Tensor:
        return self.neg()

    def __abs__(self) -> Tensor:
        return self.abs()

    def __gt__(self, other: Tensor | float) -> Tensor:
        return self.gt(other)

    def __ge__(self, other: Tensor | float) -> Tensor:
        return self.ge(other)

    def __lt__(self, other: Tensor | float) -> Tensor:
        return self.lt(other)

    def __le__(self, other: Tensor | float) -> Tensor:
        return self.le(other)

    # As NumPy and PyTorch have it: a comparison of elements, where the language expects one of objects.
    def __eq__(self, other: Tensor | float) -> Tensor:  # type: ignore[override]  # pyright: ignore
        return self.eq(other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        # `if a > b:` would ask whether there is a tensor, not what is in it.
        raise TypeError("a tensor is neither true nor false; `item()` reads a single element")

    def __repr__(self) -> str:
        return f"Tensor({self.dtype.name.lower()} {list(self.shape)})"


def call(function: Any, *arguments: Any) -> Any:
    """Calls a function of the contract; what it fails with is raised as an `Error`."""
    try:
        return function(*arguments)
    except Exception as failure:
        raise backend().error(failure) from None


def _made(name: str, *arguments: Any) -> Tensor:
    return Tensor(call(backend().call, name, *arguments))
