"""The operations of the contract. Made by `tools/generate_operations.py` from `wit/tensor.wit`; not to be edited."""

# The names are the contract's: `sum`, `max`, `abs`, and a parameter called `dim` in each of them.
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tensor import Dtype, Tensor


class Operations:
    """What a tensor can do besides operators. Each operation runs on the host and gives a new tensor."""

    __slots__ = ()

    def _operate(self, name: str, *arguments: Any) -> Tensor:
        raise NotImplementedError

    def _operand(self, operand: Tensor | float) -> Any:
        raise NotImplementedError

    def _dimensions(self, dims: int | Sequence[int]) -> list[int]:
        return [dims] if isinstance(dims, int) else list(dims)

    def add(self, rhs: Tensor | float) -> Tensor:
        """`a + b`."""
        return self._operate("add", self._operand(rhs))

    def sub(self, rhs: Tensor | float) -> Tensor:
        """`a - b`."""
        return self._operate("sub", self._operand(rhs))

    def mul(self, rhs: Tensor | float) -> Tensor:
        """`a * b`, element by element."""
        return self._operate("mul", self._operand(rhs))

    def div(self, rhs: Tensor | float) -> Tensor:
        """`a / b`."""
        return self._operate("div", self._operand(rhs))

    def maximum(self, rhs: Tensor | float) -> Tensor:
        """The larger of the two; where they are equal each side gets half of the gradient."""
        return self._operate("maximum", self._operand(rhs))

    def minimum(self, rhs: Tensor | float) -> Tensor:
        """The smaller of the two; where they are equal each side gets half of the gradient."""
        return self._operate("minimum", self._operand(rhs))

    def scale(self, by: float) -> Tensor:
        """`a * by`."""
        return self._operate("scale", by)

    def add_scalar(self, value: float) -> Tensor:
        """`a + value`."""
        return self._operate("add_scalar", value)

    def pow(self, exponent: float) -> Tensor:
        """`a` to the power `exponent`."""
        return self._operate("pow", exponent)

    def clamp(self, low: float, high: float) -> Tensor:
        """Limits every element to `low ..= high`; the gradient is zero outside."""
        return self._operate("clamp", low, high)

    def neg(self) -> Tensor:
        """`-a`."""
        return self._operate("neg")

    def abs(self) -> Tensor:
        """`|a|`; gradient zero at zero."""
        return self._operate("abs")

    def exp(self) -> Tensor:
        """`e` to the power `a`."""
        return self._operate("exp")

    def log(self) -> Tensor:
        """Natural logarithm."""
        return self._operate("log")

    def sqrt(self) -> Tensor:
        """Square root."""
        return self._operate("sqrt")

    def sin(self) -> Tensor:
        """Sine."""
        return self._operate("sin")

    def cos(self) -> Tensor:
        """Cosine."""
        return self._operate("cos")

    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
        return self._operate("tanh")

    def sigmoid(self) -> Tensor:
        """`1 / (1 + e^-a)`."""
        return self._operate("sigmoid")

    def log_sigmoid(self) -> Tensor:
        """`log(sigmoid(a))`, exact for large negative `a`."""
        return self._operate("log_sigmoid")

    def softplus(self) -> Tensor:
        """`log(1 + e^a)`, exact for large `a`."""
        return self._operate("softplus")

    def relu(self) -> Tensor:
        """`max(a, 0)`; gradient zero at zero."""
        return self._operate("relu")

    def gelu(self) -> Tensor:
        """Gaussian error linear unit, exact form: `a * (1 + erf(a / sqrt 2)) / 2`."""
        return self._operate("gelu")

    def gelu_tanh(self) -> Tensor:
        """Gaussian error linear unit, tanh approximation."""
        return self._operate("gelu_tanh")

    def silu(self) -> Tensor:
        """`a * sigmoid(a)`."""
        return self._operate("silu")

    def sum(self, dims: int | Sequence[int] = (), keep: bool = False) -> Tensor:
        """Sum over `dims`; over everything when `dims` is empty. `keep` leaves a size of one in their place."""
        return self._operate("sum", self._dimensions(dims), keep)

    def mean(self, dims: int | Sequence[int] = (), keep: bool = False) -> Tensor:
        """Mean over `dims`; over everything when `dims` is empty. `keep` leaves a size of one in their place."""
        return self._operate("mean", self._dimensions(dims), keep)

    def max(self, dim: int, keep: bool = False) -> Tensor:
        """Largest element along `dim`; ties share the gradient equally."""
        return self._operate("max", dim, keep)

    def min(self, dim: int, keep: bool = False) -> Tensor:
        """Smallest element along `dim`; ties share the gradient equally."""
        return self._operate("min", dim, keep)

    def logsumexp(self, dim: int, keep: bool = False) -> Tensor:
        """`log(sum(e^a))` along `dim`."""
        return self._operate("logsumexp", dim, keep)

    def softmax(self, dim: int) -> Tensor:
        """`e^a / sum(e^a)` along `dim`."""
        return self._operate("softmax", dim)

    def log_softmax(self, dim: int) -> Tensor:
        """Logarithm of `softmax` along `dim`."""
        return self._operate("log_softmax", dim)

    def cumsum(self, dim: int) -> Tensor:
        """Running sum along `dim`."""
        return self._operate("cumsum", dim)

    def argmax(self, dim: int, keep: bool = False) -> Tensor:
        """Index of the largest element along `dim`, the first of several; `int64`, not differentiable."""
        return self._operate("argmax", dim, keep)

    def sort(self, descending: bool = False) -> Tensor:
        """Elements in order along the last dimension; equal elements keep their order."""
        return self._operate("sort", descending)

    def argsort(self, descending: bool = False) -> Tensor:
        """The permutation that `sort` applies; `int64`, not differentiable."""
        return self._operate("argsort", descending)

    def matmul(self, rhs: Tensor) -> Tensor:
        """Matrix product `[.., m, k] x [.., k, n]`; leading dimensions broadcast."""
        return self._operate("matmul", rhs.handle)

    def gather(self, dim: int, index: Tensor) -> Tensor:
        """Elements along `dim` at `index`, an integer tensor of as many dimensions, whose shape the result has."""
        return self._operate("gather", dim, index.handle)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Whole slices along `dim` at `index` `[n]`, integers: the size of `dim` becomes `n`."""
        return self._operate("index_select", dim, index.handle)

    def choose(self, on_true: Tensor, on_false: Tensor) -> Tensor:
        """Where the mask (this tensor, `uint8`) is not zero `on-true`, elsewhere `on-false`."""
        return self._operate("choose", on_true.handle, on_false.handle)

    def narrow(self, dim: int, start: int, length: int) -> Tensor:
        """`length` slices along `dim` from `start` on."""
        return self._operate("narrow", dim, start, length)

    def reshape(self, shape: Sequence[int]) -> Tensor:
        """The same elements in another shape; one size may be -1."""
        return self._operate("reshape", list(shape))

    def transpose(self, first: int, second: int) -> Tensor:
        """Exchanges two dimensions."""
        return self._operate("transpose", first, second)

    def broadcast_to(self, shape: Sequence[int]) -> Tensor:
        """Repeats dimensions of size one until the shape is `shape`."""
        return self._operate("broadcast_to", list(shape))

    def cast(self, to: Dtype) -> Tensor:
        """Converts to another element type; differentiable between floating-point types."""
        return self._operate("cast", to)

    def segment_sum(self, segments: Tensor, count: int) -> Tensor:
        """Sums values `[n, ..]` into `[count, ..]` by `segments` `[n]` (`int64`, each below `count`)."""
        return self._operate("segment_sum", segments.handle, count)

    def segment_mean(self, segments: Tensor, count: int) -> Tensor:
        """As `segment-sum`, divided by the size of each segment; an empty segment gives zero."""
        return self._operate("segment_mean", segments.handle, count)

    def eq(self, rhs: Tensor | float) -> Tensor:
        """`a == b` as `uint8`, not differentiable."""
        return self._operate("eq", self._operand(rhs))

    def gt(self, rhs: Tensor | float) -> Tensor:
        """`a > b` as `uint8`, not differentiable."""
        return self._operate("gt", self._operand(rhs))

    def ge(self, rhs: Tensor | float) -> Tensor:
        """`a >= b` as `uint8`, not differentiable."""
        return self._operate("ge", self._operand(rhs))

    def lt(self, rhs: Tensor | float) -> Tensor:
        """`a < b` as `uint8`, not differentiable."""
        return self._operate("lt", self._operand(rhs))

    def le(self, rhs: Tensor | float) -> Tensor:
        """`a <= b` as `uint8`, not differentiable."""
        return self._operate("le", self._operand(rhs))

    def detach(self) -> Tensor:
        """The same values, cut off from what they were computed from."""
        return self._operate("detach")
