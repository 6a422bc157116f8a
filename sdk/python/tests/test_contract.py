"""This package against the contract: what was generated from it or written after it is as it says."""

import dataclasses
import re
from enum import Enum
from pathlib import Path
from typing import Any

import generate_operations
import pytest

import swift_plugin
from swift_plugin import build
from swift_plugin.testing import reference

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
        (swift_plugin.Architecture, "model", "architecture"),
        (swift_plugin.ModelParameter, "model", "parameter"),
        (swift_plugin.RotaryTable, "model", "rotary-table"),
        (swift_plugin.Head, "model", "head"),
        (swift_plugin.AttentionOptions, "model", "attention-options"),
    ],
)
def test_a_record_has_the_contract_s_fields(ours: Any, file: str, name: str) -> None:
    # The contract's record is frozen: what came later is declared by a function, which the adapter calls.
    declared = {swift_plugin.Head: ["soft_cap"], swift_plugin.Architecture: ["cached_values"]}
    assert [field.name for field in dataclasses.fields(ours)] == block("record", name, file) + declared.get(ours, [])


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


@pytest.mark.parametrize("view", ["Batch", "Outputs", "Run", "Context"])
def test_a_view_has_the_contract_s_methods(view: str) -> None:
    file = {"Run": "callback", "Context": "model"}.get(view, "loss")
    (body,) = re.findall(rf"resource {view.lower()} \{{(.*?)\n    \}}", WIT[file], re.DOTALL)
    methods = [name.replace("-", "_") for name in re.findall(r"([a-z-]+): func", body)]
    assert methods and all(hasattr(getattr(swift_plugin, view), method) for method in methods)


def test_every_world_has_a_kind_and_the_contract_s_version() -> None:
    worlds = set(re.findall(r"world ([a-z-]+-plugin)", WIT["worlds"]))
    assert worlds == set(build.WORLDS.values())
    assert WIT["worlds"].startswith(f"package swift:plugin@{build.CONTRACT};")


def test_the_contract_is_the_repository_s() -> None:
    assert build.WIT.resolve() == Path(__file__).resolve().parents[3] / "wit"
