"""The classes that componentize-py looks for in the entry module: one for each interface that the world exports."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

from .._backend import install
from ..plugin import Plugin
from .backend import Host, exported
from .failures import guarded, located, without_sources
from .kinds import KINDS

Function = Callable[..., Any]


class Component:
    """The component's one instance of its plugin, and the host that it talks to."""

    def __init__(self, kind: type[Plugin], host: Host) -> None:
        self.kind = kind
        self.host = host
        # Of the kinds whose functions are exported, so that each finds its methods.
        self.plugin: Any = kind()

    def text_error(self, error: Exception) -> Exception:
        """An error as functions that fail with a text give it."""
        return self.host.Err(self._explained(error))

    def tensor_error(self, error: Exception) -> Exception:
        """An error as functions that fail with one of the tensors' errors give it."""
        return self.host.failure(error, self._explained(error))

    def crash(self, error: Exception) -> Exception:
        """An error in a function that cannot fail."""
        self.host.panicked(self._explained(error))
        return error

    def _explained(self, error: Exception) -> str:
        """The message with its place; the way there goes to the log, for whoever looks for the mistake."""
        for line in traceback.format_exception(error):
            self.host.write("debug", line.rstrip())
        return located(error)


def exports(kind: type[Plugin], name: str, version: str) -> dict[str, type]:
    """What an entry module has to contain for a plugin of this type: `globals().update(exports(Focal, "focal", "0.1.0"))`."""
    host = Host()
    install(host)
    without_sources()
    component = Component(kind, host)
    made = {"Meta": _interface("Meta", _meta(component, name, version))}
    for base, functions in KINDS.items():
        if issubclass(kind, base):
            made[base.__name__] = _interface(base.__name__, functions(component))
    return made


def _meta(component: Component, name: str, version: str) -> dict[str, Function]:
    meta = exported("meta")

    def describe() -> Any:
        parameters = [
            meta.Parameter(each.name, each.summary, meta.ParameterType(each.type.value), json.dumps(each.default))
            for each in component.kind.parameters()
        ]
        return meta.Info(name, version, component.kind.summary(), parameters)

    def configure(parameters: str) -> None:
        try:
            component.plugin = component.kind.from_json(parameters)
        except Exception as error:
            # The values are the user's, and no line of the plugin is to blame.
            raise component.host.Err(str(error)) from None

    return {"describe": guarded(describe, component.crash), "configure": configure}


def _interface(name: str, functions: dict[str, Function]) -> type:
    """A class with these functions as its methods."""
    return type(name, (), {each: staticmethod(function) for each, function in functions.items()})
