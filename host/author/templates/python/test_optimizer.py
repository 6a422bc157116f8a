from plugin_name import PluginName
from swift_plugin.testing import descend


def test_it_remembers_the_gradient() -> None:
    # The momentum is 2, and then 0.5 * 2 + 4.
    assert descend(PluginName(momentum=0.5), [1.0], [[2.0]], 0.5) == [0.0]
    assert descend(PluginName(momentum=0.5), [1.0], [[2.0], [4.0]], 0.5) == [-2.5]
