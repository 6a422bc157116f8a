"""Describe what your metric measures."""

from swift_plugin import Batch, Metric, Outputs, remembered


class PluginName(Metric):
    """Share of the labels that the model thinks most likely."""

    hits: float = remembered(default=0.0)
    labels: float = remembered(default=0.0)

    def observe(self, batch: Batch, policy: Outputs) -> None:
        mask = batch.label_mask()
        hits = (policy.predictions() == batch.labels()).cast(mask.dtype)
        self.hits += (hits * mask).sum().item()
        self.labels += mask.sum().item()

    def finish(self) -> dict[str, float]:
        return {"accuracy": self.hits / self.labels}
