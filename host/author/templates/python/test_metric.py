from plugin_name import PluginName
from swift_plugin.testing import ModelOutputs, PackedBatch, measure


def test_hits_are_counted_over_all_batches() -> None:
    batch = PackedBatch([3], labels=[5, 6, -100])
    outputs = [ModelOutputs([0.0] * 3, predictions=ids) for ids in ([5, 6, -1], [5, 7, -1])]
    assert measure(PluginName(), [(batch, each) for each in outputs]) == {"accuracy": 0.75}
