"""Plugins of every kind but losses, run natively."""

import math
from typing import Any

import pytest
from everything import Everything

from swift_plugin import (
    Answer,
    AttentionOptions,
    Call,
    Completion,
    Context,
    Error,
    Evaluate,
    Event,
    LogMetric,
    Message,
    Piece,
    Rendered,
    RenderOptions,
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
    made = [row[0] * x + row[1] * y for x, y in expected for row in zip(rows[::2], rows[1::2], strict=True)]
    assert logits.to_list() == pytest.approx(made)


class _Wired(Everything):
    """Without the last layer, so that its output is that of the attention."""

    def forward(self, stage: int, input: Tensor | None, context: Context) -> Tensor:
        if input is None:
            return context.embedding(0)
        heads = input.reshape([context.token_count(), 1, -1])
        mixed = context.attention(0, context.rope(0, heads), heads, heads, AttentionOptions(scale=0.5))
        return mixed.reshape([context.token_count(), -1])


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
