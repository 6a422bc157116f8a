from plugin_name import PluginName
from swift_plugin import Answer, Call


def test_an_object_is_a_call_and_everything_else_text() -> None:
    parse = PluginName().parse
    assert parse('{"name": "add", "parameters": {"a": 2}}', True, []) == Answer("", [Call("add", '{"a": 2}')])
    assert parse('{"name": "add"', False, []) == Answer("")
    assert parse('{"name": "add"', True, []) == Answer('{"name": "add"')
    assert parse("It is", False, []) == Answer("It is")
