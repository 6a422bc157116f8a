"""Writes `swift_plugin/_operations.py` from the contract, so that the two cannot differ.

`python tools/generate_operations.py` writes the file; a test sees that it is as this script would write it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent
CONTRACT = SDK / "src/swift_plugin/wit/tensor.wit"
TARGET = SDK / "src/swift_plugin/_operations.py"

HEADER = '''"""The operations of the contract. Made by `tools/generate_operations.py` from `wit/tensor.wit`; not to be edited."""

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
'''

# The contract's types: as Python's, and how a value of them is passed on.
TYPES = {
    "borrow<tensor>": ("Tensor", "{}.handle"),
    "operand": ("Tensor | float", "self._operand({})"),
    "dims": ("int | Sequence[int] = ()", "self._dimensions({})"),
    "list<s64>": ("Sequence[int]", "list({})"),
    "list<u64>": ("Sequence[int]", "list({})"),
    "bool": ("bool = False", "{}"),
    "f64": ("float", "{}"),
    "s32": ("int", "{}"),
    "u64": ("int", "{}"),
    "dtype": ("Dtype", "{}"),
}


@dataclass
class Function:
    """A function of the contract."""

    name: str
    documentation: str
    parameters: list[tuple[str, str]]
    result: str


def functions(contract: str) -> tuple[list[Function], list[Function]]:
    """The methods of a tensor and the functions beside it, in the contract's order."""
    methods, free = contract.split("resource tensor {", 1)[1].split("\n    }\n", 1)
    return _functions(methods), _functions(free.split("\n}\n", 1)[0])


def _functions(text: str) -> list[Function]:
    pattern = re.compile(r"((?: *///.*\n)+) *%?([a-z0-9-]+): func\((.*?)\) -> (.*);")
    found: list[Function] = []
    for comment, name, parameters, result in pattern.findall(text):
        documentation = " ".join(line.strip().removeprefix("///").strip() for line in comment.splitlines())
        pairs = [pair.split(": ") for pair in parameters.split(", ") if pair]
        named = [(parameter.replace("-", "_"), kind) for parameter, kind in pairs]
        found.append(Function(name.replace("-", "_"), documentation, named, result))
    return found


def _kind(function: Function, parameter: str, kind: str) -> str:
    """What a parameter takes: numbers may stand for tensors where shapes broadcast, one dimension for a list of them."""
    if kind == "borrow<tensor>" and parameter == "rhs" and function.name != "matmul":
        return "operand"
    return "dims" if kind == "list<s32>" else kind


def method(function: Function) -> str:
    """The Python method of a function of the contract."""
    kinds = [(name, *TYPES[_kind(function, name, kind)]) for name, kind in function.parameters]
    signature = "".join(f", {name}: {annotation}" for name, annotation, _ in kinds)
    passed = "".join(f", {form.format(name)}" for name, _, form in kinds)
    return (
        f"\n    def {function.name}(self{signature}) -> Tensor:\n"
        f'        """{function.documentation}"""\n'
        f'        return self._operate("{function.name}"{passed})\n'
    )


def generate() -> str:
    """The text of the module."""
    methods, _ = functions(CONTRACT.read_text())
    return HEADER + "".join(method(each) for each in methods if each.result == "result<tensor, error>")


if __name__ == "__main__":
    TARGET.write_text(generate())
