"""The tensors of the reference backend: values, gradients and errors."""

import math
from collections.abc import Callable

import pytest

from swift_plugin import (
    Batch,
    Dtype,
    DtypeMismatch,
    Error,
    InvalidArgument,
    Loss,
    Outputs,
    Report,
    ShapeMismatch,
    Tensor,
    Unsupported,
)
from swift_plugin.testing import ModelOutputs, PackedBatch, check_gradient, evaluate

Function = Callable[[Tensor], Tensor]

# Two rows of three, without ties and away from the corners of `abs`, `relu` and `clamp`.
LOGITS = [0.3, -1.2, 0.7, 2.1, -0.4, 0.9]


def tensor(*values: float, dtype: Dtype = Dtype.FLOAT32) -> Tensor:
    return Tensor.from_list(values, [len(values)], dtype)


def index(*values: float) -> Tensor:
    return tensor(*values, dtype=Dtype.INT64)


class Applied(Loss):
    """The sum of what a function makes of the logits, each element with a factor of its own."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def compute(self, batch: Batch, policy: Outputs, reference: Outputs | None) -> Report:
        made = self.function(policy.logits())
        count = math.prod(made.shape)
        return Report((made.reshape([count]) * tensor(*range(1, count + 1))).sum())


GRADIENTS: dict[str, Function] = {
    "add": lambda x: x + x.narrow(0, 0, 1),
    "sub": lambda x: 1.0 - x - x.narrow(1, 0, 1),
    "mul": lambda x: x * x.sum(0),
    "div": lambda x: 2.0 / (x / x.abs().sum(1, keep=True)),
    "maximum": lambda x: x.maximum(0.5),
    "minimum": lambda x: x.minimum(x.narrow(0, 1, 1)),
    "scale": lambda x: x * 3.0 / 2.0,
    "add_scalar": lambda x: 2.0 + x - 1.0,
    "pow": lambda x: x.abs() ** 1.5,
    "clamp": lambda x: x.clamp(-1.0, 1.0),
    "neg": lambda x: -x,
    "abs": lambda x: abs(x),
    "exp": lambda x: x.exp(),
    "log": lambda x: (x + 3.0).log(),
    "sqrt": lambda x: (x + 3.0).sqrt(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "log_sigmoid": lambda x: x.log_sigmoid(),
    "softplus": lambda x: x.softplus(),
    "relu": lambda x: x.relu(),
    "gelu": lambda x: x.gelu(),
    "gelu_tanh": lambda x: x.gelu_tanh(),
    "silu": lambda x: x.silu(),
    "sum": lambda x: x.sum([0], keep=True) * x.sum(),
    "mean": lambda x: x.mean(-1) * x.mean(),
    "max": lambda x: x.max(1),
    "min": lambda x: x.min(0, keep=True),
    "logsumexp": lambda x: x.logsumexp(1),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(0),
    "cumsum": lambda x: x.cumsum(1),
    "sort": lambda x: x.sort(descending=True),
    "matmul": lambda x: x @ x.transpose(0, 1),
    "gather": lambda x: x.gather(1, Tensor.from_list([0, 2, 1, 1], [2, 2], Dtype.INT64)),
    "index_select": lambda x: x.index_select(1, index(2, 0, 2)),
    "choose": lambda x: (x > 0.0).choose(x * 2.0, x.narrow(0, 0, 1)),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "reshape": lambda x: x.reshape([3, -1]) @ x,
    "transpose": lambda x: x.transpose(0, -1),
    "broadcast_to": lambda x: x.narrow(0, 0, 1).broadcast_to([2, 2, 3]),
    "cast": lambda x: x.cast(Dtype.FLOAT64).cast(Dtype.FLOAT32),
    "segment_sum": lambda x: x.segment_sum(index(1, 1), 3),
    "segment_mean": lambda x: x.segment_mean(index(1, 1), 3) + x.segment_mean(index(0, 2), 3),
    "cat": lambda x: Tensor.cat([x, x.narrow(0, 0, 1).exp()], 0),
    "stack": lambda x: Tensor.stack([x, x.exp()], -1),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_gradient_agrees_with_finite_differences(name: str) -> None:
    check_gradient(Applied(GRADIENTS[name]), PackedBatch([2]), ModelOutputs(logits=LOGITS))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tensor(-800.0, 0.0, 800.0).log_sigmoid(), [-800.0, -math.log(2.0), 0.0]),
        (tensor(-800.0, 0.0, 800.0).softplus(), [0.0, math.log(2.0), 800.0]),
        (tensor(-800.0, 800.0).sigmoid(), [0.0, 1.0]),
        (tensor(1.0, 3.0, 2.0) > 2.0, [0, 1, 0]),
        (tensor(1.0, 3.0, 2.0) >= 2.0, [0, 1, 1]),
        (tensor(1.0, 3.0, 2.0) < 2.0, [1, 0, 0]),
        (tensor(1.0, 3.0, 2.0) <= 2.0, [1, 0, 1]),
        (tensor(1.0, 3.0, 2.0) == 2.0, [0, 0, 1]),
        (tensor(1.0, 3.0, 3.0).argmax(0), [1]),
        (tensor(3.0, 1.0, 3.0, 2.0).argsort(descending=True), [0, 2, 3, 1]),
        (tensor(5.0, 7.0, 9.0).segment_mean(index(2, 0, 2), 3), [7.0, 0.0, 7.0]),
        (Tensor.arange(3), [0, 1, 2]),
        (Tensor.full(2.5, [2]), [2.5, 2.5]),
    ],
)
def test_operations_have_the_contract_s_values(made: Tensor, expected: list[float]) -> None:
    assert made.to_list() == pytest.approx(expected, abs=1e-15)


def test_ties_share_the_gradient() -> None:
    loss = Applied(lambda x: Tensor.stack([x.max(1).sum(), x.maximum(1.0).sum()], 0))
    gradient = evaluate(loss, PackedBatch([1]), ModelOutputs(logits=[1.0, 1.0])).gradients["logits"]
    assert gradient == [0.5 + 2 * 0.5, 0.5 + 2 * 0.5]


@pytest.mark.parametrize(
    ("mistake", "kind", "message"),
    [
        (lambda: tensor(1.0, 2.0) + tensor(1.0, 2.0, 3.0), ShapeMismatch, "in `add`"),
        (lambda: tensor(1.0) * tensor(1.0, dtype=Dtype.FLOAT64), DtypeMismatch, "lhs float32, rhs float64"),
        (lambda: tensor(1.0, 2.0).narrow(0, 1, 2), InvalidArgument, "in `narrow`"),
        (lambda: tensor(1.0).sum(1), InvalidArgument, "dimension 1 of 1"),
        (lambda: tensor(1.0).segment_sum(index(2), 2), InvalidArgument, "not below 2"),
        (lambda: index(1.0).exp(), Unsupported, "in `exp`"),
        (lambda: tensor(1.0) @ tensor(1.0), ShapeMismatch, "in `matmul`"),
        (lambda: tensor(1.0, 2.0).item(), Error, "a tensor of 2 elements is no number"),
    ],
)
def test_a_mistake_names_its_operation(mistake: Callable[[], object], kind: type[Error], message: str) -> None:
    with pytest.raises(kind, match=message):
        mistake()


def test_a_gradient_through_a_comparison_is_an_error() -> None:
    loss = Applied(lambda x: (x > 0.0).cast(Dtype.FLOAT32))
    with pytest.raises(Error, match="`cast` is not differentiable|`gt` is not differentiable"):
        evaluate(loss, PackedBatch([2]), ModelOutputs(logits=LOGITS))


def test_a_tensor_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(tensor(1.0) > 0.0)
