from plugin_name import PluginName
from swift_plugin import Event, RunState, Stop
from swift_plugin.testing import tell


def test_it_ends_the_run_below_the_limit() -> None:
    callback = PluginName(limit=0.5)
    assert tell(callback, Event.LOG, RunState(metrics={"loss": 0.6})) == []
    actions = tell(callback, Event.LOG, RunState(metrics={"loss": 0.4}))
    assert actions == [Stop("the loss 0.4 is below 0.5 after 2 lines")]
