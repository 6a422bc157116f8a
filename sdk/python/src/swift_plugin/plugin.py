"""What all plugins have in common: hyper-parameters that describe themselves, and what is remembered between calls."""

from __future__ import annotations

import copy
import inspect
import json
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypeVar

from .errors import Error

Value = TypeVar("Value")


class ParameterType(Enum):
    """The type of a hyper-parameter's value, as the contract names it, with the Python types that are written so."""

    BOOLEAN = 0
    INTEGER = 1
    NUMBER = 2
    TEXT = 3
    LIST = 4


_TYPES: dict[Any, ParameterType] = {
    bool: ParameterType.BOOLEAN,
    int: ParameterType.INTEGER,
    float: ParameterType.NUMBER,
    str: ParameterType.TEXT,
    list: ParameterType.LIST,
}

# What each type is called in messages, and the Python types of JSON values that it takes.
_TAKES: dict[ParameterType, tuple[str, tuple[type, ...]]] = {
    ParameterType.BOOLEAN: ("true or false", (bool,)),
    ParameterType.INTEGER: ("a whole number", (int,)),
    ParameterType.NUMBER: ("a number", (int, float)),
    ParameterType.TEXT: ("a text", (str,)),
    ParameterType.LIST: ("a list", (list,)),
}


@dataclass
class Parameter:
    """One hyper-parameter."""

    name: str
    """As the user writes it, in snake case: `label_smoothing`."""
    summary: str
    """One sentence."""
    type: ParameterType
    """What values it takes."""
    default: Any
    """The default; none for "not set"."""
    optional: bool = False
    """Whether it may be left unset."""
    minimum: float | None = None
    """The least number that it takes."""
    maximum: float | None = None
    """The greatest number that it takes."""
    choices: Sequence[Any] = ()
    """The values that it takes; any if there are none."""

    def check(self, value: Any) -> Any:
        """The value, if it is one that the hyper-parameter takes."""
        return None if value is None and self.optional else self._checked(value)

    def _checked(self, value: Any) -> Any:
        wanted = self._wanted(value)
        if wanted is not None:
            raise Error(f"parameter `{self.name}` is {json.dumps(value)}, and must be {wanted}")
        return float(value) if self.type is ParameterType.NUMBER else value

    def _wanted(self, value: Any) -> str | None:
        """What the value should have been; none if it is."""
        what, taken = _TAKES[self.type]
        # A boolean is an `int` to Python, and no number to a user.
        if not isinstance(value, taken) or isinstance(value, bool) != (self.type is ParameterType.BOOLEAN):
            return what
        number: Any = value
        if self.minimum is not None and number < self.minimum:
            return f"at least {self.minimum}"
        if self.maximum is not None and number > self.maximum:
            return f"at most {self.maximum}"
        if self.choices and value not in self.choices:
            return f"one of {', '.join(json.dumps(choice) for choice in self.choices)}"
        return None


@dataclass
class _Declared:
    """What `parameter` leaves in a class body."""

    summary: str
    default: Any
    bounds: dict[str, Any]


@dataclass
class _Remembered:
    """What `remembered` leaves in a class body."""

    default: Any


def parameter(
    summary: str,
    *,
    default: Value,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[Value] = (),
) -> Value:
    """Declares a hyper-parameter of a plugin: `gamma: float = parameter("Strength.", default=2.0, minimum=0.0)`.

    `summary` is what the user reads. The annotation is `bool`, `int`, `float`, `str`, a `list`, or one of them `| None`
    for a parameter that may be left unset.
    """
    # To a type checker it is the default, as with the fields of a dataclass.
    return typing.cast(Value, _Declared(summary, default, dict(minimum=minimum, maximum=maximum, choices=choices)))


def remembered(*, default: Value) -> Value:
    """Declares what a plugin remembers between calls: `best: float | None = remembered(default=None)`.

    Checkpoints keep it, so it is made of what JSON has. Every instance starts with a copy of the default.
    """
    return typing.cast(Value, _Remembered(default))


@typing.dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter, remembered))
class Plugin:
    """The base of all kinds. A subclass declares its hyper-parameters, which are also arguments of its constructor."""

    _parameters: ClassVar[dict[str, Parameter]] = {}
    _remembered: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        bases = [base for base in reversed(cls.__mro__[1:]) if issubclass(base, Plugin)]
        cls._parameters = {name: each for base in bases for name, each in base._parameters.items()}
        cls._remembered = {name: each for base in bases for name, each in base._remembered.items()}
        hints = inspect.get_annotations(cls)
        for name, declared in list(vars(cls).items()):
            match declared:
                case _Declared():
                    kind, optional = _type_of(cls, name, hints)
                    made = Parameter(name, declared.summary, kind, declared.default, optional, **declared.bounds)
                    cls._parameters[name] = made
                    setattr(cls, name, made.check(declared.default))
                case _Remembered():
                    cls._remembered[name] = declared.default
                    setattr(cls, name, declared.default)
                case _:
                    pass

    def __init__(self, **values: Any) -> None:
        for name, declared in self._parameters.items():
            setattr(self, name, copy.copy(declared.default))
        self.forget()
        for name, value in values.items():
            if name in self._remembered:
                setattr(self, name, value)
            else:
                setattr(self, name, self._parameter(name).check(value))

    @classmethod
    def summary(cls) -> str:
        """What the plugin is, in one sentence: the first paragraph of its documentation."""
        # Of the class itself: `inspect.getdoc` would take that of the kind.
        documentation = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        return " ".join(documentation.split("\n\n")[0].split())

    @classmethod
    def parameters(cls) -> list[Parameter]:
        """The hyper-parameters, in the order in which they are declared."""
        return list(cls._parameters.values())

    @classmethod
    def from_json(cls, text: str) -> typing.Self:
        """The plugin with the hyper-parameters of a JSON object; the others keep their defaults."""
        values = json.loads(text)
        if not isinstance(values, Mapping):
            raise Error("the hyper-parameters are no JSON object")
        for name in typing.cast("Mapping[str, Any]", values):
            cls._parameter(name)
        return cls(**values)

    def forget(self) -> None:
        """Sets everything that is remembered to its default."""
        for name, default in self._remembered.items():
            setattr(self, name, copy.deepcopy(default))

    def save_state(self) -> str:
        """What the plugin remembers, to be written into checkpoints; empty if it remembers nothing."""
        values = {name: getattr(self, name) for name in self._remembered}
        return json.dumps(values) if values else ""

    def restore_state(self, state: str) -> None:
        """Takes up what `save_state` gave, when a run is resumed."""
        values = json.loads(state) if state else {}
        if not isinstance(values, dict) or values.keys() != self._remembered.keys():
            raise Error("the state is not one of this plugin")
        for name, value in typing.cast("dict[str, Any]", values).items():
            setattr(self, name, value)

    @classmethod
    def _parameter(cls, name: str) -> Parameter:
        if name in cls._parameters:
            return cls._parameters[name]
        known = ", ".join(f"`{known}`" for known in cls._parameters)
        there_are = f"there are {known}" if known else "the plugin has none"
        raise Error(f"there is no parameter `{name}`; {there_are}")


def _type_of(cls: type, name: str, hints: Mapping[str, Any]) -> tuple[ParameterType, bool]:
    """The type of an annotation, and whether it includes `None`."""
    annotation = hints.get(name)
    if isinstance(annotation, str):
        # With `from __future__ import annotations`. Of this attribute alone: others may name what only checkers import.
        annotation = eval(annotation, vars(sys.modules[cls.__module__]))
    is_union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    members = typing.get_args(annotation) if is_union else (annotation,)
    present = [member for member in members if member is not types.NoneType]
    kind = _TYPES.get(typing.get_origin(present[0]) or present[0]) if len(present) == 1 else None
    if kind is None:
        raise TypeError(f"parameter `{name}` of `{cls.__name__}` needs a type: bool, int, float, str or list")
    return kind, len(present) < len(members)
