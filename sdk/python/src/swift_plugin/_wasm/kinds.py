"""The contract's functions for each kind of plugin."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import callback, dataset, loss, metric, model, optimizer, reward, schedule, template
from ..batch import Batch, Outputs
from ..plugin import Plugin
from ..tensor import Tensor
from .backend import exported
from .convert import lift, lower
from .failures import reason

if TYPE_CHECKING:
    from .exports import Component

Functions = dict[str, Callable[..., Any]]


def guarded(function: Callable[..., Any], failure: Callable[[Exception], Exception]) -> Callable[..., Any]:
    """The function, whose exceptions become the contract's errors."""

    def guard(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise failure(error) from None

    return guard


def _state(component: Component) -> Functions:
    """What is remembered, for losses and callbacks."""
    return {
        "save_state": guarded(lambda: component.plugin.save_state(), component.crash),
        "restore_state": guarded(lambda state: component.plugin.restore_state(state), component.text_error),
    }


def _loss(component: Component) -> Functions:
    generated, host = exported("loss"), component.host

    def requires() -> Any:
        return component.plugin.requirements()

    def observed(tensor: Tensor) -> Any:
        return host.observed(tensor.handle)

    def compute(batch: Any, policy: Any, reference: Any) -> Any:
        compared = None if reference is None else Outputs(reference)
        report = component.plugin.compute(Batch(batch), Outputs(policy), compared)
        metrics = [
            generated.Metric(name, observed(values), None if weights is None else observed(weights))
            for name, values, weights in report.metrics
        ]
        # The plugin may keep its tensor, so the host gets another.
        return generated.Report(host.again(report.loss.handle), metrics)

    return {
        "requires": guarded(requires, component.crash),
        "compute": guarded(compute, component.tensor_error),
        **_state(component),
    }


def _model(component: Component) -> Functions:
    def supports(architecture: str, model_type: str) -> bool:
        return bool(component.plugin.supports(architecture, model_type))

    def load(config: str) -> Any:
        return component.plugin.load(json.loads(config))

    def forward(stage: int, input: Any, context: Any) -> Any:
        hidden = component.plugin.forward(
            stage, None if input is None else Tensor(input), model.Context(context)
        )
        return component.host.again(hidden.handle) if hidden.handle is input else hidden.handle

    return {
        "supports": guarded(supports, component.crash),
        "load": guarded(load, component.tensor_error),
        "forward": guarded(forward, component.tensor_error),
    }


def _callback(component: Component) -> Functions:
    generated = exported("callback")

    def on_event(event: Any, state: Any, run: Any) -> list[Any]:
        view = callback.Run(lift(callback.RunState, state), run)
        actions = component.plugin.on_event(callback.Event(event.value), view)
        return [lower(generated, "Action", action) for action in actions]

    return {"on_event": guarded(on_event, component.text_error), **_state(component)}


def _dataset(component: Component) -> Functions:
    generated = exported("dataset")

    def outcome(row: str) -> Any:
        try:
            sample = component.plugin.convert(json.loads(row))
        except Exception as error:
            return generated.Outcome_Skipped(reason(error))
        columns = [(name, json.dumps(value)) for name, value in sample.columns.items()]
        return generated.Outcome_Sample(
            generated.Sample(sample.messages, sample.rejected, sample.positives, sample.negatives, columns)
        )

    return {
        "matches": guarded(lambda columns: component.plugin.matches(columns), component.crash),
        "convert": guarded(lambda rows: [outcome(row) for row in rows], component.text_error),
    }


def _metric(component: Component) -> Functions:
    def observe(batch: Any, policy: Any) -> None:
        component.plugin.observe(Batch(batch), Outputs(policy))

    def finish() -> list[tuple[str, float]]:
        found = component.plugin.finish()
        component.plugin.forget()
        return [(name, float(number)) for name, number in found.items()]

    return {
        "observe": guarded(observe, component.tensor_error),
        "finish": guarded(finish, component.tensor_error),
    }


def _schedule(component: Component) -> Functions:
    def factor(step: int, max_steps: int) -> float:
        return float(component.plugin.factor(step, max_steps))

    return {"factor": guarded(factor, component.text_error)}


def _optimizer(component: Component) -> Functions:
    generated = exported("optimizer")

    def slots(parameter: Any) -> Any:
        return component.plugin.slots(lift(optimizer.OptimizedParameter, parameter))

    def update(parameter: Any, value: Any, gradient: Any, slots: list[Any], step: Any) -> Any:
        made = component.plugin.update(
            lift(optimizer.OptimizedParameter, parameter),
            Tensor(value),
            Tensor(gradient),
            [Tensor(slot) for slot in slots],
            lift(optimizer.Step, step),
        )
        # A handle is given away once, and one that was lent not at all.
        taken = {id(value), id(gradient)}
        given: list[Any] = []
        for tensor in (made.value, *made.slots):
            is_free = id(tensor.handle) not in taken
            taken.add(id(tensor.handle))
            given.append(tensor.handle if is_free else component.host.again(tensor.handle))
        return generated.Updated(given[0], given[1:])

    return {"slots": guarded(slots, component.crash), "update": guarded(update, component.tensor_error)}


def _reward(component: Component) -> Functions:
    def completion(given: Any) -> reward.Completion:
        columns = {name: json.loads(value) for name, value in given.columns}
        messages = json.loads(given.messages_json)
        return reward.Completion(given.text, messages, list(given.token_ids), given.finished, columns)

    def score(completions: list[Any]) -> list[float | None]:
        scores = component.plugin.score_all([completion(each) for each in completions])
        return [None if number is None else float(number) for number in scores]

    return {"score": guarded(score, component.text_error)}


def _template(component: Component) -> Functions:
    generated = exported("template")

    def content(value: template.Content) -> Any:
        return lower(generated, "Content", value)

    def render(name: str, messages: list[Any], tools: str | None, options: Any) -> Any:
        said = [lift(dataset.Message, message) for message in messages]
        given = None if tools is None else json.loads(tools)
        rendered = component.plugin.render(name, said, given, lift(template.RenderOptions, options))
        pieces = [generated.Piece(content(piece.content), piece.weight, piece.answer_to) for piece in rendered.pieces]
        return generated.Rendered(pieces, [content(each) for each in rendered.suffix])

    def without_place(error: Exception) -> Exception:
        # Rows are counted by their reasons.
        return component.host.Err(reason(error))

    return {
        "names": guarded(lambda: list(component.plugin.names()), component.crash),
        "render": guarded(render, without_place),
    }


def _loss_scale(component: Component) -> Functions:
    def weigh(answer: str, question: str | None) -> list[tuple[str, float]]:
        return [(part, float(weight)) for part, weight in component.plugin.weigh(answer, question)]

    return {"weigh": guarded(weigh, component.text_error)}


KINDS: list[tuple[type[Plugin], str, Callable[[Any], Functions]]] = [
    (loss.Loss, "Loss", _loss),
    (model.Model, "Model", _model),
    (callback.Callback, "Callback", _callback),
    (dataset.Dataset, "Dataset", _dataset),
    (metric.Metric, "Metric", _metric),
    (schedule.Schedule, "Schedule", _schedule),
    (optimizer.Optimizer, "Optimizer", _optimizer),
    (reward.Reward, "Reward", _reward),
    (template.Template, "Template", _template),
    (template.LossScale, "LossScale", _loss_scale),
]
"""The kinds, with the interface that each exports and what makes its functions."""
