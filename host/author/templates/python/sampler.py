"""Describe how your sampler chooses, and name the paper that it is from."""

import math

from swift_plugin import Generation, Sampler, Tensor, parameter


class PluginName(Sampler):
    """Rules out tokens that are hardly probable (Hewitt et al. 2022, epsilon sampling)."""

    epsilon: float = parameter("The least probability of a token that is left; the most probable ones always are.", default=3e-4)

    def adjust(self, logits: Tensor, generation: Generation) -> Tensor:
        logps = logits.log_softmax(-1)
        least = logps.max(-1, keep=True).minimum(math.log(self.epsilon))
        return (logps >= least).choose(logits, Tensor.full(-math.inf, (), logits.dtype))
