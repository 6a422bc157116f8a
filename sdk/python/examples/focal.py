"""Focal loss over tokens (Lin et al. 2017, "Focal Loss for Dense Object Detection", eq. 4)."""

from swift_plugin import Batch, Loss, Outputs, Report, parameter


class Focal(Loss):
    """Focal loss over tokens (Lin et al. 2017)."""

    gamma: float = parameter("How much well-predicted tokens are held back; 0 is cross-entropy.", default=2.0, minimum=0.0)

    def compute(self, batch: Batch, policy: Outputs, reference: Outputs | None) -> Report:
        """With `p` the probability of a label: `-(1 - p)^gamma log p`, the weighted mean over the labels of the window."""
        logps = policy.token_logps()
        # Where a label is certain, `(1 - p)^gamma` has no finite slope for a gamma below 1.
        focus = (1.0 - logps.exp()).clamp(1e-12, 1.0) ** self.gamma
        losses = -(focus * logps * batch.loss_weights())
        loss = losses.sum() / batch.global_token_count()
        return Report(loss).metric("focal/weight", focus, batch.label_mask())
