"""Plugins of every kind but losses, run natively."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from everything import Everything

from swift_plugin import (
    Answer,
    Architecture,
    AttentionOptions,
    Call,
    Completion,
    Context,
    Dtype,
    Error,
    Evaluate,
    Event,
    Head,
    InvalidArgument,
    LogMetric,
    Message,
    ModelParameter,
    Piece,
    Rendered,
    RenderOptions,
    Role,
    RunState,
    Save,
    Stop,
    Template,
    Tensor,
    Text,
    TokenId,
    TokenName,
    Training,
)
from swift_plugin.testing import ModelOutputs, PackedBatch, descend, forward, measure, tell


def test_a_callback_is_told_of_events_and_remembers() -> None:
    callback = Everything()
    weight = {"weight": Tensor.full(1.0, [3])}
    actions = tell(callback, Event.LOG, RunState(step=4, max_steps=8, metrics={"loss": 0.5}), weight)
    assert actions == [Save(), Evaluate(), LogMetric("weight", 3.0), Stop("step 4 of 8")]
    assert tell(callback, Event.SAVE, RunState(), weight)[-1] == LogMetric("weight", 3.0)
    assert callback.events == ["LOG", "SAVE"]


def test_a_metric_measures_all_batches_and_forgets() -> None:
    metric = Everything()
    batch = (PackedBatch([3]), ModelOutputs([-1.0, -2.0, 9.0]))
    assert measure(metric, [batch, batch]) == {"seen": -6.0}
    assert measure(metric, [batch]) == {"seen": -3.0}


def test_an_optimizer_follows_gradients_with_what_it_keeps() -> None:
    # Momentum 1, then 0.5 + 1 in a step twice as large.
    assert descend(Everything(), [1.0, 2.0], [[1.0, 0.0], [1.0, 0.0]], 0.1) == pytest.approx([0.6, 2.0])


def test_a_model_attends_within_each_sequence() -> None:
    rows = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5, -0.5]
    logits = forward(_Wired(), {"hidden_size": 2}, [[0, 1], [1]], lambda _: rows)
    assert logits.shape == (3, 4)
    # The first position of a sequence sees itself alone: its own row, whatever the rest of the batch is.
    first, second = (1.0, 0.0), (0.0, 1.0)
    # The second sees the first through a key turned by no angle, itself through one turned like its query.
    turned = (-math.sin(1.0), math.cos(1.0))
    scores = [0.5 * (turned[0] * first[0] + turned[1] * first[1]), 0.5 * (turned[0] * second[0] + turned[1] * second[1])]
    share = math.exp(scores[0]) / (math.exp(scores[0]) + math.exp(scores[1]))
    expected = [(1.0, 0.0), (share, 1.0 - share), (0.0, 1.0)]
    products = [row[0] * x + row[1] * y for x, y in expected for row in zip(rows[::2], rows[1::2], strict=True)]
    made = [30.0 * math.tanh(product / 30.0) for product in products]
    assert logits.to_list() == pytest.approx(made)


class _Wired(Everything):
    """Without the last layer, so that its output is that of the attention."""

    def forward(self, stage: int, input: Tensor | None, context: Context) -> Tensor:
        if input is None:
            return context.embedding(0)
        heads = input.reshape([context.token_count(), 1, -1])
        mixed = context.attention(0, context.rope(0, heads), heads, heads, AttentionOptions(scale=0.5))
        return mixed.reshape([context.token_count(), -1])


class _Expert(Everything):
    """One layer of what models with experts are made of, whose weights are handed to it as parameters."""

    def __init__(self, shapes: list[list[int]], layer: Callable[[Tensor, Context], Tensor], width: int = 2) -> None:
        super().__init__()
        self.shapes = [[4, 2], *shapes]
        self.layer = layer
        self.width = width

    def load(self, config: dict[str, Any]) -> Architecture:
        parameters = [ModelParameter(str(at), shape, Role.ROW, 0) for at, shape in enumerate(self.shapes)]
        # The last parameter is a head that changes nothing.
        parameters.append(ModelParameter("head", [self.width, self.width], Role.HEAD, 0))
        loaded = super().load(config)
        return replace(loaded, parameters=parameters, head=Head(len(self.shapes)), stages=1)

    def forward(self, stage: int, input: Tensor | None, context: Context) -> Tensor:
        return self.layer(context.embedding(0), context)


ROWS = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, -0.5]]


def _run(model: _Expert, values: dict[str, list[float]], sequences: list[list[int]]) -> list[float]:
    head = [float(row == column) for row in range(model.width) for column in range(model.width)]
    weights = {"0": [each for row in ROWS for each in row], "head": head, **values}
    return forward(model, {"hidden_size": 2}, sequences, lambda parameter: weights[parameter.name]).to_list()


@pytest.mark.parametrize("stacked", [False, True])
def test_each_row_goes_through_the_layer_of_its_group(stacked: bool) -> None:
    # Matrices `[out, in]` of two groups, of 3 outputs and 2 inputs, and a bias for each.
    matrices = [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[-1.0, 0.0], [0.0, -1.0], [2.0, 0.5]]]
    biases = [[0.25, 0.0, -0.25], [1.0, 2.0, 3.0]]
    flat = [[each for row in matrix for each in row] for matrix in matrices]
    turned = [[row[column] for column in range(2) for row in matrix] for matrix in matrices]

    def layer(x: Tensor, context: Context) -> Tensor:
        groups, tokens = (Tensor.from_list(each, [3], Dtype.INT64) for each in ([0, 1, 1], [0, 1, 2]))
        weights, offsets = ([1], [2]) if stacked else ([1, 2], [3, 4])
        return context.grouped_linear(weights, offsets, x, groups, tokens)

    if stacked:
        shapes = [[2, 2, 3], [2, 3]]
        values = {"1": turned[0] + turned[1], "2": biases[0] + biases[1]}
    else:
        shapes = [[3, 2], [3, 2], [3], [3]]
        values = {"1": flat[0], "2": flat[1], "3": biases[0], "4": biases[1]}
    made = _run(_Expert(shapes, layer, width=3), values, [[0, 2, 3]])
    expected = [
        sum(weight * x for weight, x in zip(row, ROWS[token], strict=True)) + bias
        for token, group in [(0, 0), (2, 1), (3, 1)]
        for row, bias in zip(matrices[group], biases[group], strict=True)
    ]
    assert made == pytest.approx(expected)


def test_rows_out_of_the_order_of_their_groups_are_refused() -> None:
    def layer(x: Tensor, context: Context) -> Tensor:
        groups, tokens = (Tensor.from_list(each, [2], Dtype.INT64) for each in ([1, 0], [0, 1]))
        return context.grouped_linear([1], [], x, groups, tokens)

    with pytest.raises(InvalidArgument, match="not in the order of their groups"):
        _run(_Expert([[2, 2, 2]], layer), {"1": [0.0] * 8}, [[0, 1]])


def test_a_sink_takes_its_share_of_attention_and_gives_nothing() -> None:
    sink = 0.75

    def layer(x: Tensor, context: Context) -> Tensor:
        heads = x.reshape([2, 1, 2])
        options = AttentionOptions(scale=0.5)
        return context.attention_with_sinks(0, heads, heads, heads, 1, options).reshape([2, 2])

    made = _run(_Expert([[1]], layer), {"1": [sink]}, [[0, 2]])
    # The first position scores itself 0.5; the second the first 0.5, and itself 1.
    first = math.exp(0.5) / (math.exp(0.5) + math.exp(sink))
    total = math.exp(0.5) + math.exp(1.0) + math.exp(sink)
    near, own = math.exp(0.5) / total, math.exp(1.0) / total
    assert made == pytest.approx([first, 0.0, near + own, own])


def test_a_slope_makes_near_keys_count_more() -> None:
    def layer(x: Tensor, context: Context) -> Tensor:
        heads = x.reshape([2, 1, 2])
        options = AttentionOptions(scale=0.5)
        return context.attention_with_slopes(0, heads, heads, heads, [0.25], options).reshape([2, 2])

    made = _run(_Expert([], layer), {}, [[0, 2]])
    # The second position scores the first 0.5, less the slope for the distance of 1, and itself 1.
    near = math.exp(0.25) / (math.exp(0.25) + math.exp(1.0))
    assert made == pytest.approx([1.0, 0.0, 1.0, 1.0 - near])


def test_a_parameter_may_be_read() -> None:
    def layer(x: Tensor, context: Context) -> Tensor:
        return x * context.parameter(1)

    assert _run(_Expert([[2]], layer), {"1": [2.0, 3.0]}, [[2]]) == [2.0, 3.0]


def test_the_rest_is_called_as_it_is() -> None:
    plugin = Everything()
    assert plugin.factor(1, 4) == 0.75
    assert plugin.score_all([Completion("2", columns={"solution": "2"}), Completion("3", finished=False)]) == [1.0, None]
    assert plugin.weigh("abc", None) == [("a", 1), ("bc", 0.0)]
    assert plugin.convert({"q": "1+1?", "a": "2"}).columns == {"margin": 2}
    options = RenderOptions(training=Training.EVERYTHING, special_tokens={"bos_token": "<s>"})
    rendered = plugin.render("plain", [Message("user", "1+1?")], None, options)
    assert rendered.pieces == [Piece(TokenId(7)), Piece(Text("1+1?"), 1.0, "everything"), Piece(TokenName("plain"))]
    with pytest.raises(Error, match="tools are not for this template"):
        plugin.render("plain", [], [{}], options)


def test_answers_are_taken_apart_by_templates_that_know_calls_and_by_no_others() -> None:
    plugin = Everything()
    assert plugin.agent_templates() == ["lines"]
    assert plugin.read_calls("plain", "lines", "so\nadd") == Answer("plain lines so", [Call("add", "{}")])
    silent = _Silent()
    assert silent.agent_templates() == []
    assert silent.read_calls("plain", None, "so\nadd") == Answer("so\nadd", [])


class _Silent(Template):
    """Has what a template must have, and nothing else."""

    def names(self) -> list[str]:
        return ["plain"]

    def render(
        self, name: str, messages: list[Message], tools: list[Any] | None, options: RenderOptions
    ) -> Rendered:
        return Rendered([])
