from plugin_name import PluginName


def test_it_falls_from_one_to_zero() -> None:
    assert [PluginName().factor(step, 4) for step in (0, 2, 4)] == [1.0, 0.25, 0.0]
