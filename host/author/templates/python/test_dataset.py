import pytest

from plugin_name import PluginName
from swift_plugin import Error, Message, Sample


def test_a_row_becomes_a_question_and_an_answer() -> None:
    sample = PluginName().convert({"problem": "1 + 1", "proof": "2"})
    assert sample == Sample([Message("user", "1 + 1"), Message("assistant", "2")])


def test_a_row_without_text_is_left_out() -> None:
    with pytest.raises(Error, match="`proof` is no text"):
        PluginName().convert({"problem": "1 + 1", "proof": 2})


def test_files_are_known_by_their_columns() -> None:
    assert PluginName().matches(["problem", "proof", "id"]) > PluginName().matches(["problem"]) == 0
