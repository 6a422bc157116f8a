"""Plugins that turn rows of a user's files into samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .plugin import Plugin

Row = dict[str, Any]
"""A row of a user's file: columns by name."""


@dataclass
class Message:
    """One turn of a conversation."""

    role: str
    """`system`, `user`, `assistant`, `tool_call` or `tool_response`."""
    content: str
    """The text."""
    train: bool | None = None
    """For assistant turns: whether to train on it; by default as the run decides."""
    loss_scale: float | None = None
    """For assistant turns: a factor on the loss of its tokens."""


Conversation = list[Message]


@dataclass
class Sample:
    """What the rest of the chain works on."""

    messages: Conversation
    """The conversation, ending with the answer that is trained on."""
    rejected: Conversation | None = None
    """For preference rows: the conversation that ends with the worse answer."""
    positives: list[Conversation] = field(default_factory=list[Conversation])
    """For rows that compare texts: those that fit the conversation."""
    negatives: list[Conversation] = field(default_factory=list[Conversation])
    """For rows that compare texts: those that don't."""
    columns: dict[str, Any] = field(default_factory=dict[str, Any])
    """Everything else that the row says: `label`, `margin`, `channel` for losses, `tools` and `chat_template_kwargs` for the
    template, `images`, `videos`, `audios`, `objects` for the processor, and whatever a reward wants to see."""


class Dataset(Plugin, ABC):
    """Turns rows of a user's files into samples."""

    @abstractmethod
    def matches(self, columns: Sequence[str]) -> int:
        """How well the plugin can read files with these columns: 0 not at all; the plugin with the highest number gets
        them."""

    @abstractmethod
    def convert(self, row: Row) -> Sample:
        """The sample that a row is. A row that raises an exception is left out for that reason; the host counts the rows by
        reason and shows the first."""
