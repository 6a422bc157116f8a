"""The contract's functions for plugins that work on tensors or watch a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..batch import Batch, Outputs
from ..callback import Event, Run, RunState
from ..model import Architecture, Context
from ..optimizer import OptimizedParameter, Step
from ..sampler import Generation
from ..tensor import Tensor, call
from .backend import exported, imported
from .convert import lift, lower
from .failures import guarded

if TYPE_CHECKING:
    from .exports import Component

Functions = dict[str, Callable[..., Any]]


def memory(component: Component) -> Functions:
    """What is remembered, for losses and callbacks."""
    return {
        "save_state": guarded(lambda: component.plugin.save_state(), component.crash),
        "restore_state": guarded(lambda saved: component.plugin.restore_state(saved), component.text_error),
    }


def loss(component: Component) -> Functions:
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
        **memory(component),
    }


def declare(nn: Any, architecture: Architecture) -> None:
    """Says by functions what the contract's record of an architecture, which is frozen, has no field for."""
    if architecture.head.soft_cap is not None:
        call(nn.head_soft_cap, architecture.head.soft_cap)
    if architecture.head.normalised:
        call(nn.normalised_head)
    if architecture.longest_sequence is not None:
        call(nn.longest_sequence, architecture.longest_sequence)
    if architecture.untrained:
        call(nn.untrained, architecture.untrained)
    if architecture.full_precision:
        call(nn.full_precision, architecture.full_precision)
    if architecture.cached_values is not None:
        call(nn.cached_values, architecture.cached_values)
    for longer in architecture.longer_sequences:
        call(nn.longer_sequences, longer.table, longer.tokens, longer.inverse_frequencies, longer.growth)
    for stack in architecture.stacks:
        call(nn.stacked, stack.name, stack.parts)


def model(component: Component) -> Functions:
    def supports(architecture: str, model_type: str) -> bool:
        return bool(component.plugin.supports(architecture, model_type))

    def load(config: str) -> Any:
        architecture = component.plugin.load(json.loads(config))
        declare(imported("nn"), architecture)
        return architecture

    def forward(stage: int, input: Any, context: Any) -> Any:
        given = None if input is None else Tensor(input)
        hidden = component.plugin.forward(stage, given, Context(context))
        return component.host.again(hidden.handle) if hidden.handle is input else hidden.handle

    return {
        "supports": guarded(supports, component.crash),
        "load": guarded(load, component.tensor_error),
        "forward": guarded(forward, component.tensor_error),
    }


def callback(component: Component) -> Functions:
    generated = exported("callback")

    def on_event(event: Any, state: Any, run: Any) -> list[Any]:
        view = Run(lift(RunState, state), run)
        actions = component.plugin.on_event(Event(event.value), view)
        return [lower(generated, "Action", action) for action in actions]

    return {"on_event": guarded(on_event, component.text_error), **memory(component)}


def metric(component: Component) -> Functions:
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


def schedule(component: Component) -> Functions:
    def factor(step: int, max_steps: int) -> float:
        return float(component.plugin.factor(step, max_steps))

    return {"factor": guarded(factor, component.text_error)}


def optimizer(component: Component) -> Functions:
    generated = exported("optimizer")

    def slots(parameter: Any) -> Any:
        return component.plugin.slots(lift(OptimizedParameter, parameter))

    def update(parameter: Any, value: Any, gradient: Any, slots: list[Any], step: Any) -> Any:
        made = component.plugin.update(
            lift(OptimizedParameter, parameter),
            Tensor(value),
            Tensor(gradient),
            [Tensor(slot) for slot in slots],
            lift(Step, step),
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


def sampler(component: Component) -> Functions:
    def adjust(logits: Any, generation: Any) -> Any:
        adjusted = component.plugin.adjust(Tensor(logits), Generation(generation))
        return component.host.again(adjusted.handle) if adjusted.handle is logits else adjusted.handle

    return {"adjust": guarded(adjust, component.tensor_error)}
