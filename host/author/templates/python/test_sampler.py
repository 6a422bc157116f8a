import math

from plugin_name import PluginName
from swift_plugin.testing import adjust


def test_hardly_probable_tokens_are_ruled_out() -> None:
    assert adjust(PluginName(epsilon=0.01), [2.0, 9.0, 8.0]) == [-math.inf, 9.0, 8.0]
    assert adjust(PluginName(epsilon=0.9), [1.0, 1.0]) == [1.0, 1.0]
