"""Describe which words of an answer weigh how much."""

from swift_plugin import LossScale, parameter


class PluginName(LossScale):
    """What comes before a marker weighs less than what comes after it."""

    marker: str = parameter("The marker.", default="Answer:")
    weight: float = parameter("The weight of what comes before it.", default=0.1)

    def weigh(self, answer: str, question: str | None) -> list[tuple[str, float]]:
        before, marker, after = answer.partition(self.marker)
        return [(before, self.weight), (marker + after, 1.0)] if marker else [(answer, 1.0)]
