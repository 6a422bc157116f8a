"""Describe what your reward is for."""

from swift_plugin import Completion, Reward


class PluginName(Reward):
    """1 for answers that hold what the row's column `solution` says, 0 for others."""

    def score(self, completion: Completion) -> float | None:
        if "solution" not in completion.columns:
            return None
        return float(str(completion.columns["solution"]) in completion.text)
