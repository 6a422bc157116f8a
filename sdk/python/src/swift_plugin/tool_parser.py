"""Plugins that find calls of tools in answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from .plugin import Plugin
from .template import Answer


class ToolParser(Plugin, ABC):
    """Finds calls of tools in what a model answers."""

    @abstractmethod
    def parse(self, answer: str, finished: bool, tools: list[Any]) -> Answer:
        """Takes apart an answer that is `finished`, or as far as it goes now: then only what no later word can change. What is
        given for a longer part of an answer begins with what was given for a shorter one, and depends on nothing else. `tools`
        are the tools that may be called; the arguments of a call are a JSON object. An answer that calls nothing, or not as it
        should, is text; an error ends the request."""
