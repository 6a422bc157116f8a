"""Lines for the run's log. The host adds the plugin's name; outside of the sandbox they go to stderr."""

from __future__ import annotations

from ._backend import backend


def trace(message: str) -> None:
    """Writes a line that only someone who looks for a mistake wants to see."""
    backend().write("trace", message)


def debug(message: str) -> None:
    """Writes a line about the plugin's inner workings."""
    backend().write("debug", message)


def info(message: str) -> None:
    """Writes a line that a user may want to see."""
    backend().write("info", message)


def warn(message: str) -> None:
    """Writes a line about something that is probably not as it should be."""
    backend().write("warn", message)


def error(message: str) -> None:
    """Writes a line about something that went wrong."""
    backend().write("error", message)
