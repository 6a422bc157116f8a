"""Describe your update rule, and name the paper that it is from."""

from swift_plugin import OptimizedParameter, Optimizer, Slot, Step, Tensor, Update, parameter


class PluginName(Optimizer):
    """Gradient descent with momentum (Polyak 1964)."""

    momentum: float = parameter("Memory of earlier gradients.", default=0.9)

    def slots(self, parameter: OptimizedParameter) -> list[Slot]:
        return [Slot("momentum", parameter.shape)]

    def update(
        self, parameter: OptimizedParameter, value: Tensor, gradient: Tensor, slots: list[Tensor], step: Step
    ) -> Update:
        """`m = momentum * m + g`, then `p - rate * (m + decay * p)`."""
        momentum = slots[0] * self.momentum + gradient
        change = momentum + value * parameter.weight_decay
        return Update(value - change * step.learning_rate, [momentum])
