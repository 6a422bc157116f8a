"""Describe what your callback watches, and what it does."""

from swift_plugin import Action, Callback, Event, Run, Stop, parameter, remembered


class PluginName(Callback):
    """Ends a run when its loss has fallen below a limit."""

    limit: float = parameter("The loss at which the run ends.", default=0.01)
    lines: int = remembered(default=0)

    def on_event(self, event: Event, run: Run) -> list[Action]:
        if event is not Event.LOG:
            return []
        self.lines += 1
        loss = run.metric("loss")
        if loss is None or loss >= self.limit:
            return []
        return [Stop(f"the loss {loss} is below {self.limit} after {self.lines} lines")]
