"""Describe how your learning rate changes."""

from swift_plugin import Schedule, parameter


class PluginName(Schedule):
    """A learning rate that falls along a power of what is left of the run."""

    power: float = parameter("The power: 1 falls in a straight line.", default=2.0)

    def factor(self, step: int, max_steps: int) -> float:
        """`(1 - step / max_steps) ** power`. The warm-up is the trainer's."""
        return float((1.0 - step / max_steps) ** self.power)
