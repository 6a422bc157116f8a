"""What becomes of exceptions."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from ..errors import Error

_PACKAGE = str(PurePath(__file__).parent.parent)


def without_sources() -> None:
    """Keeps tracebacks from looking for source files. The sandbox has none, and the host takes it for a wish to see files."""
    nothing: list[str] = []
    setattr(linecache, "checkcache", lambda filename=None: None)
    setattr(linecache, "updatecache", lambda filename, module_globals=None: nothing)


def reason(error: Exception) -> str:
    """The message, with the exception's type unless it is one of our errors."""
    return str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"


def located(error: Exception) -> str:
    """The message and the plugin's line that it comes from: the innermost one outside of this package."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_PACKAGE) and "<" not in frame.filename
    ]
    place = f", at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{reason(error)}{place}"


def guarded(function: Callable[..., Any], failure: Callable[[Exception], Exception]) -> Callable[..., Any]:
    """The function, whose exceptions become the contract's errors."""

    def guard(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise failure(error) from None

    return guard
