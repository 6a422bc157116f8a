"""Describe what your loss does, and name the paper that its formula is from."""

from swift_plugin import Batch, Loss, Outputs, Report, parameter


class PluginName(Loss):
    """Cross entropy of the labelled tokens, scaled."""

    scale: float = parameter("Factor on the loss.", default=1.0)

    def compute(self, batch: Batch, policy: Outputs, reference: Outputs | None) -> Report:
        """`-scale * sum(weight * log p) / labels in the accumulation window`: a micro-batch gives its share of the whole."""
        logps = policy.token_logps()
        loss = (logps * batch.loss_weights()).sum() * -self.scale / batch.global_token_count()
        return Report(loss).metric("mean_logp", logps, batch.label_mask())
