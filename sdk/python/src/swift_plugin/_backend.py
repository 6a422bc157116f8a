"""What tensors are computed by: the host inside the sandbox, NumPy outside of it."""

from __future__ import annotations

from typing import Any, Protocol


class Backend(Protocol):
    """Functions of the contract that make handles. A handle has the contract's methods."""

    def error(self, failure: Exception) -> Exception:
        """What to raise for a call that failed so: an `Error` if the contract knows the failure."""
        ...

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls `from_list`, `full`, `arange`, `uniform`, `normal`, `cat` or `stack`, and gives a handle."""
        ...

    def write(self, level: str, message: str) -> None:
        """Writes a line of the run's log."""
        ...


_backend: Backend | None = None


def install(backend: Backend) -> None:
    """Sets what computes from now on."""
    global _backend
    _backend = backend


def backend() -> Backend:
    """What computes: NumPy, unless something else was installed."""
    if _backend is None:
        from .testing import reference

        install(reference.Reference())
    assert _backend is not None
    return _backend
