import pytest

from plugin_name import PluginName
from swift_plugin import Error, Message, RenderOptions, Text, Training

TURNS = [
    Message("user", "1 + 1?"),
    Message("assistant", "2"),
    Message("user", "2 + 2?"),
    Message("assistant", "4"),
]
TEXT = "user: 1 + 1?\nassistant: 2\nuser: 2 + 2?\nassistant: 4\n"


def render(messages: list[Message], training: Training) -> tuple[str, list[str]]:
    """The text, and the parts that are trained on."""
    pieces = PluginName().render("plugin-name", messages, None, RenderOptions(training=training)).pieces
    texts = [(piece.content.value, piece.weight) for piece in pieces if isinstance(piece.content, Text)]
    return "".join(text for text, _ in texts), [text for text, weight in texts if weight]


def test_answers_are_trained_on() -> None:
    assert render(TURNS, Training.ANSWERS) == (TEXT, ["2\n", "4\n"])
    assert render(TURNS, Training.LAST_ROUND)[1] == ["4\n"]
    assert "".join(render(TURNS, Training.EVERYTHING)[1]) == TEXT
    assert render(TURNS[:3], Training.NONE)[0] == "user: 1 + 1?\nassistant: 2\nuser: 2 + 2?\nassistant: "


def test_a_conversation_with_tools_is_left_out() -> None:
    with pytest.raises(Error, match="the template has no form for tools"):
        PluginName().render("plugin-name", TURNS, [{}], RenderOptions())
