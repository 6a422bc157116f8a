"""The host as what computes tensors."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import KINDS, Error
from ..tensor import Dtype


def imported(interface: str) -> Any:
    """What is generated for an interface that the plugin's world imports; none if it does not."""
    try:
        return importlib.import_module(f"wit_world.imports.{interface}")
    except ModuleNotFoundError:
        return None


def exported(interface: str) -> Any:
    """What is generated for an interface that the plugin's world exports."""
    return importlib.import_module(f"wit_world.exports.{interface}")


class Host:
    """The functions that the world imports."""

    def __init__(self) -> None:
        generated = importlib.import_module("componentize_py_types")
        self.Err: type[Exception] = generated.Err
        self.tensor = imported("tensor")
        self.log = imported("log")

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls a function of the contract that makes a handle."""
        return getattr(self.tensor, name)(*arguments)

    def error(self, failure: Exception) -> Exception:
        """The error that a failed call gave."""
        if not isinstance(failure, self.Err):
            return failure
        case = getattr(failure, "value", failure)
        kind = type(case).__name__.removeprefix("Error_")
        return KINDS.get(kind, Error)(getattr(case, "value", str(case)))

    def failure(self, error: Exception, message: str) -> Exception:
        """An error as a call to us fails with it: of the same kind, with another message."""
        kind = next((name for name, known in KINDS.items() if type(error) is known), "Other")
        return self.Err(getattr(self.tensor, f"Error_{kind}")(message))

    def write(self, level: str, message: str) -> None:
        """Writes a line of the run's log."""
        self.log.write(self.log.Level[level.upper()], message)

    def panicked(self, message: str) -> None:
        """Tells the host why the plugin crashes."""
        self.log.panicked(message)

    def again(self, handle: Any) -> Any:
        """Another handle with the same value and gradient."""
        return handle.add_scalar(0.0)

    def observed(self, handle: Any) -> Any:
        """What is logged: without a gradient, and floating-point, where comparisons give bytes."""
        whole = Dtype(handle.dtype().value) in (Dtype.INT64, Dtype.UINT32, Dtype.UINT8)
        return handle.detach().cast(self.tensor.Dtype.FLOAT32) if whole else handle.detach()
