"""The contract's functions for plugins that work on conversations and answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..dataset import Message
from ..reward import Completion
from ..template import Answer, Content, RenderOptions
from .backend import exported
from .convert import lift, lower
from .failures import guarded, reason

if TYPE_CHECKING:
    from .exports import Component

Functions = dict[str, Callable[..., Any]]


def dataset(component: Component) -> Functions:
    generated = exported("dataset")

    def outcome(row: str) -> Any:
        try:
            sample = component.plugin.convert(json.loads(row))
            columns = [(name, json.dumps(value)) for name, value in sample.columns.items()]
        except Exception as error:
            return generated.Outcome_Skipped(reason(error))
        return generated.Outcome_Sample(
            generated.Sample(sample.messages, sample.rejected, sample.positives, sample.negatives, columns)
        )

    return {
        "matches": guarded(lambda columns: component.plugin.matches(columns), component.crash),
        "convert": guarded(lambda rows: [outcome(row) for row in rows], component.text_error),
    }


def reward(component: Component) -> Functions:
    def completion(given: Any) -> Completion:
        columns = {name: json.loads(value) for name, value in given.columns}
        messages = json.loads(given.messages_json)
        return Completion(given.text, messages, list(given.token_ids), given.finished, columns)

    def score(completions: list[Any]) -> list[float | None]:
        scores = component.plugin.score_all([completion(each) for each in completions])
        return [None if number is None else float(number) for number in scores]

    return {"score": guarded(score, component.text_error)}


def template(component: Component) -> Functions:
    generated = exported("template")

    def content(value: Content) -> Any:
        return lower(generated, "Content", value)

    def render(name: str, messages: list[Any], tools: str | None, options: Any) -> Any:
        said = [lift(Message, message) for message in messages]
        given = None if tools is None else json.loads(tools)
        rendered = component.plugin.render(name, said, given, lift(RenderOptions, options))
        pieces = [generated.Piece(content(piece.content), piece.weight, piece.answer_to) for piece in rendered.pieces]
        return generated.Rendered(pieces, [content(each) for each in rendered.suffix])

    def read_calls(name: str, agent_template: str | None, answer: str) -> Any:
        return _taken_apart(generated, component.plugin.read_calls(name, agent_template, answer))

    def without_place(error: Exception) -> Exception:
        # Rows are counted by their reasons.
        return component.host.Err(reason(error))

    return {
        "names": guarded(lambda: list(component.plugin.names()), component.crash),
        "agent_templates": guarded(lambda: list(component.plugin.agent_templates()), component.crash),
        "render": guarded(render, without_place),
        "read_calls": guarded(read_calls, without_place),
    }


def loss_scale(component: Component) -> Functions:
    def weigh(answer: str, question: str | None) -> list[tuple[str, float]]:
        return [(part, float(weight)) for part, weight in component.plugin.weigh(answer, question)]

    return {"weigh": guarded(weigh, component.text_error)}


def tool_parser(component: Component) -> Functions:
    generated = exported("tool_parser")

    def parse(answer: str, finished: bool, tools: str) -> Any:
        return _taken_apart(generated, component.plugin.parse(answer, finished, json.loads(tools)))

    return {"parse": guarded(parse, component.text_error)}


def _taken_apart(generated: Any, answer: Answer) -> Any:
    return generated.Answer(answer.text, [generated.Call(call.name, call.arguments) for call in answer.calls])
