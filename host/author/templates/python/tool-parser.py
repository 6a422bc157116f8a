"""Describe how your model writes calls of tools."""

import json
from typing import Any

from swift_plugin import Answer, Call, ToolParser


class PluginName(ToolParser):
    """Calls that are written as one JSON object: `{"name": "add", "parameters": {"a": 2}}` (Llama 3.1)."""

    def parse(self, answer: str, finished: bool, tools: list[Any]) -> Answer:
        # What begins otherwise is text, and can be given out while it grows.
        if not answer.lstrip().startswith("{"):
            return Answer(answer)
        if not finished:
            return Answer("")
        try:
            match json.loads(answer):
                case {"name": str(name), "parameters": dict(arguments)}:
                    return Answer("", [Call(name, json.dumps(arguments))])
                case _:
                    return Answer(answer)
        except json.JSONDecodeError:
            return Answer(answer)
