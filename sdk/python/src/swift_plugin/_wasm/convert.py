"""Between this package's types and those that are generated from the contract, which differ in their classes alone.

Records have the same fields on both sides, so that the generated code takes ours as they are; enums and variants it tells
by their class. Pairs of names and values are dictionaries here and lists there.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from functools import cache
from typing import Any


@cache
def _fields(record: type) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def lift(kind: Any, value: Any) -> Any:
    """A value from the host as one of our type `kind`."""
    if value is None:
        return None
    if isinstance(kind, types.UnionType):
        present = [member for member in typing.get_args(kind) if member is not types.NoneType]
        return lift(present[0], value)
    if typing.get_origin(kind) is list:
        (member,) = typing.get_args(kind)
        return [lift(member, each) for each in value]
    if typing.get_origin(kind) is dict:
        return dict(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value.value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        fields = {name: lift(hint, getattr(value, name)) for name, hint in _fields(kind).items()}
        return kind(**fields)
    return value


def lower(module: Any, variant: str, value: Any) -> Any:
    """One of our cases of a variant as the generated one: `Stop("…")` as `Action_Stop("…")`."""
    case = getattr(module, f"{variant}_{type(value).__name__}")
    content = [getattr(value, field.name) for field in dataclasses.fields(value)]
    match len(content):
        case 0:
            return case()
        case 1:
            return case(content[0])
        case _:
            return case(tuple(content))
