from plugin_name import PluginName
from swift_plugin.testing import ModelOutputs, PackedBatch, check_gradient, evaluate

# Two sequences. The last position of each has no label.
BATCH = PackedBatch([3, 2])
POLICY = ModelOutputs([-1.0, -2.0, 0.0, -3.0, 0.0])


def test_the_loss_follows_the_formula() -> None:
    evaluation = evaluate(PluginName(scale=0.5), BATCH, POLICY)
    assert evaluation.loss == 0.5 * (1.0 + 2.0 + 3.0) / 3
    assert evaluation.metrics == {"mean_logp": -2.0}


def test_the_gradient_agrees_with_finite_differences() -> None:
    check_gradient(PluginName(), BATCH, POLICY)
