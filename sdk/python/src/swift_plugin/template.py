"""Plugins that turn conversations into text, and those that weigh the words of answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .dataset import Message
from .plugin import Plugin


class Training(Enum):
    """Which parts of a conversation are trained on."""

    NONE = 0
    """Nothing: the text is a prompt."""
    ANSWERS = 1
    """All answers."""
    LAST_ROUND = 2
    """The answers after the last question."""
    EVERYTHING = 3
    """Every token."""


@dataclass(kw_only=True)
class RenderOptions:
    """How to render. By default all answers are trained on, in the template's own way, on the first day of 2024."""

    training: Training = Training.ANSWERS
    """What is trained on."""
    system: str | None = None
    """The system text for conversations without one; none for the template's own."""
    enable_thinking: bool | None = None
    """Whether the model shall think before it answers; none for the template's own way."""
    preserve_thinking: bool | None = None
    """Whether thoughts of earlier answers are kept; none for the template's own way."""
    add_non_thinking_prefix: bool = True
    """Whether answers without thoughts get the template's sign for that."""
    response_prefix: str | None = None
    """What a prompt ends with, as the beginning of the answer; none for the template's own."""
    agent_template: str | None = None
    """How tools are described and called; none for the template's own way."""
    date: str = "2024-01-01"
    """The day that templates with a date in them name."""
    special_tokens: dict[str, str] = field(default_factory=dict[str, str])
    """Words that the tokeniser has for a purpose, by their name: `eos_token`, `bos_token`."""


@dataclass(frozen=True)
class Text:
    """A text to be tokenised."""

    value: str


@dataclass(frozen=True)
class TokenId:
    """One token, by its id."""

    value: int


@dataclass(frozen=True)
class TokenName:
    """One token, by its name in the tokeniser's configuration: `bos_token_id`."""

    value: str


@dataclass(frozen=True)
class TextBegin:
    """The tokens that the tokeniser puts before every text, if it does."""


@dataclass(frozen=True)
class TextEnd:
    """The tokens that the tokeniser puts after every text, if it does."""


Content = Text | TokenId | TokenName | TextBegin | TextEnd
"""What a piece of a rendered conversation is made of."""


@dataclass
class Piece:
    """A piece of a rendered conversation."""

    content: Content
    """What it is made of."""
    weight: float = 0.0
    """Factor on the loss of its tokens; 0 if it is not trained on."""
    answer_to: str | None = None
    """For an answer: the question before it, which rules for loss weights may look at."""


@dataclass
class Rendered:
    """A rendered conversation."""

    pieces: list[Piece]
    """Its pieces, in order."""
    suffix: list[Content] = field(default_factory=list[Content])
    """The text that ends an answer. Where a run of untrained tokens after an answer begins with it, it is trained on."""


@dataclass
class Call:
    """A call of a tool that a model makes."""

    name: str
    """The tool."""
    arguments: str
    """What it is called with: a JSON object, or whatever the model wrote in its place."""


@dataclass
class Answer:
    """An answer, taken apart."""

    text: str
    """What it says before it calls tools."""
    calls: list[Call] = field(default_factory=list[Call])
    """The calls, in order."""


class Template(Plugin, ABC):
    """A set of chat templates."""

    @abstractmethod
    def names(self) -> Sequence[str]:
        """The templates by name."""

    @abstractmethod
    def render(
        self, name: str, messages: list[Message], tools: list[Any] | None, options: RenderOptions
    ) -> Rendered:
        """Renders a conversation with one of the templates. `tools` is a list of tools, if there are any. A conversation that
        raises an exception is left out for that reason; the host counts the rows by reason and shows the first."""

    def agent_templates(self) -> Sequence[str]:
        """The ways to describe and to call tools, by name. By default there is none but the templates' own."""
        return []

    def read_calls(self, name: str, agent_template: str | None, answer: str) -> Answer:
        """Takes apart what a model answers, with tools called in the way `agent_template`, or in the template's own. By
        default no answer calls a tool."""
        return Answer(answer)


class LossScale(Plugin, ABC):
    """A rule for loss weights."""

    @abstractmethod
    def weigh(self, answer: str, question: str | None) -> Iterable[tuple[str, float]]:
        """Cuts an answer into parts, each with the factor on the loss of its tokens. The parts together are the answer."""
