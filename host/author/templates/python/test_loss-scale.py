from plugin_name import PluginName


def test_the_parts_are_the_answer() -> None:
    assert PluginName().weigh("so… Answer: 4", None) == [("so… ", 0.1), ("Answer: 4", 1.0)]
    assert PluginName().weigh("4", None) == [("4", 1.0)]
