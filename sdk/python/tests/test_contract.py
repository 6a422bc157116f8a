"""This package against the contract: what was generated from it or written after it is as it says."""

import dataclasses
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import generate_operations
import pytest

import swift_plugin
from swift_plugin import build
from swift_plugin._wasm import backend, training
from swift_plugin.testing import batch, network, reference

WIT = {path.stem: path.read_text() for path in build.WIT.glob("*.wit")}


def block(kind: str, name: str, file: str) -> list[str]:
    """The names in a record, an enum or a variant of the contract."""
    (body,) = re.findall(rf"\b{kind} {name} \{{(.*?)\n    \}}", WIT[file], re.DOTALL)
    without_comments = re.sub(r"///.*", "", body)
    return [each.replace("-", "_") for each in re.findall(r"^\s*%?([a-z0-9-]+)", without_comments, re.MULTILINE)]


def test_the_operations_are_as_the_generator_writes_them() -> None:
    assert generate_operations.TARGET.read_text() == generate_operations.generate()


def test_the_reference_backend_has_every_operation_and_function() -> None:
    methods, functions = generate_operations.functions(WIT["tensor"])
    named = {method.name for method in methods} - {"shape", "dtype", "to_list"}
    assert named == set(reference.OPERATIONS)
    assert {function.name for function in functions} == set(reference.FUNCTIONS)
    assert all(hasattr(swift_plugin.Tensor, function.name) for function in functions)


@pytest.mark.parametrize(
    ("ours", "file", "name"),
    [
        (swift_plugin.Requirements, "loss", "requirements"),
        (swift_plugin.RunState, "callback", "run-state"),
        (swift_plugin.Message, "dataset", "message"),
        (swift_plugin.Sample, "dataset", "sample"),
        (swift_plugin.OptimizedParameter, "optimizer", "parameter"),
        (swift_plugin.Slot, "optimizer", "slot"),
        (swift_plugin.Step, "optimizer", "step"),
        (swift_plugin.Update, "optimizer", "updated"),
        (swift_plugin.RenderOptions, "template", "options"),
        (swift_plugin.Piece, "template", "piece"),
        (swift_plugin.Rendered, "template", "rendered"),
        (swift_plugin.Call, "template", "call"),
        (swift_plugin.Answer, "template", "answer"),
        (swift_plugin.Call, "tool-parser", "call"),
        (swift_plugin.Answer, "tool-parser", "answer"),
        (swift_plugin.Architecture, "model", "architecture"),
        (swift_plugin.ModelParameter, "model", "parameter"),
        (swift_plugin.RotaryTable, "model", "rotary-table"),
        (swift_plugin.Head, "model", "head"),
        (swift_plugin.AttentionOptions, "model", "attention-options"),
    ],
)
def test_a_record_has_the_contract_s_fields(ours: Any, file: str, name: str) -> None:
    # The contract's record is frozen: what came later is declared by a function, which the adapter calls.
    declared = {
        "Head": ["soft_cap", "normalised"],
        "Architecture": ["untrained", "full_precision", "cached_values", "longest_sequence", "longer_sequences", "stacks"],
    }.get(ours.__name__, [])
    assert [field.name for field in dataclasses.fields(ours)] == block("record", name, file) + declared


@pytest.mark.parametrize(
    ("ours", "file", "name"),
    [
        (swift_plugin.Dtype, "tensor", "dtype"),
        (swift_plugin.ParameterType, "tensor", "parameter-type"),
        (swift_plugin.Input, "loss", "input"),
        (swift_plugin.Event, "callback", "event"),
        (swift_plugin.Role, "model", "role"),
        (swift_plugin.TrainedParts, "loss", "trained-parts"),
        (swift_plugin.Training, "template", "training"),
    ],
)
def test_an_enum_has_the_contract_s_cases_in_its_order(ours: type[Enum], file: str, name: str) -> None:
    cases = block("enum", name, file)
    assert [(case.name, case.value) for case in ours] == [(case.upper(), place) for place, case in enumerate(cases)]


RESOURCES: dict[str, list[type]] = {
    "tensor": [swift_plugin.Tensor],
    "batch": [swift_plugin.Batch, batch.BatchView],
    "outputs": [swift_plugin.Outputs],
    "run": [swift_plugin.Run],
    "context": [swift_plugin.Context, network.NetworkContext],
    "generation": [swift_plugin.Generation],
}
"""What plugins are lent, and what stands for it here and in unit tests."""


def named(text: str, indent: int) -> list[str]:
    """The functions that are declared at an indentation."""
    return [name.replace("-", "_") for name in re.findall(rf"^ {{{indent}}}%?([a-z0-9-]+): func", text, re.MULTILINE)]


def interface(name: str) -> str:
    """An interface of the contract."""
    (body,) = re.findall(rf"^interface {name} \{{(.*?)^\}}", "\n".join(WIT.values()), re.DOTALL | re.MULTILINE)
    return str(body)


IMPORTED = sorted(set(re.findall(r"^ +import ([a-z-]+);", WIT["worlds"], re.MULTILINE)))


def test_every_resource_of_what_plugins_import_is_known() -> None:
    assert IMPORTED == ["batch-view", "generation-view", "log", "nn", "run-view", "tensor"]
    found = [re.findall(r"resource ([a-z-]+) \{", interface(name)) for name in IMPORTED]
    assert {resource for resources in found for resource in resources} == set(RESOURCES)


@pytest.mark.parametrize(
    ("resource", "ours"), [(resource, each) for resource, kinds in RESOURCES.items() for each in kinds]
)
def test_a_resource_has_the_contract_s_functions(resource: str, ours: type) -> None:
    everything = "\n".join(WIT.values())
    (body,) = re.findall(rf"resource {resource} \{{(.*?)\n    \}}", everything, re.DOTALL)
    functions = named(body, 8)
    assert functions and [each for each in functions if not hasattr(ours, each)] == []


class Recorder:
    """Knows which functions were called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.called.append(name)


def test_every_function_outside_of_a_resource_is_called_by_somebody() -> None:
    nn = Recorder()
    head = swift_plugin.Head(0, soft_cap=30.0, normalised=True)
    architecture = swift_plugin.Architecture(
        name="x",
        hidden_size=1,
        vocab_size=1,
        stages=1,
        parameters=[],
        head=head,
        cache_layers=0,
        kv_heads=0,
        head_dim=0,
        untrained=[0],
        full_precision=[0],
        cached_values=0,
        longest_sequence=1,
        longer_sequences=[swift_plugin.LongerSequences(0, 1, [1.0])],
        stacks=[swift_plugin.Stack("x", [[0]])],
    )
    training.declare(nn, architecture)
    # Those of `tensor` are compared by another test, `Host` has those of `log`, and views have none.
    functions = {name: named(interface(name), 4) for name in IMPORTED if name != "tensor"}
    assert functions == {"batch-view": [], "generation-view": [], "run-view": [], "log": ["write", "panicked"], "nn": nn.called}
    assert all(hasattr(backend.Host, each) for each in functions["log"])


def test_every_world_has_a_kind_and_the_contract_s_version() -> None:
    worlds = set(re.findall(r"world ([a-z-]+-plugin)", WIT["worlds"]))
    assert worlds == set(build.WORLDS.values())
    assert WIT["worlds"].startswith(f"package swift:plugin@{build.CONTRACT};")


def test_the_contract_is_the_repository_s() -> None:
    assert build.WIT.resolve() == Path(__file__).resolve().parents[3] / "wit"
