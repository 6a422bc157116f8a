import math

import pytest

from plugin_name import PluginName
from swift_plugin import Error, ModelParameter
from swift_plugin.testing import forward

CONFIG = {
    "model_type": "plugin_name",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 5,
}


def weights(parameter: ModelParameter) -> list[float]:
    return [math.sin(i + len(parameter.name)) for i in range(math.prod(parameter.shape))]


def logits(sequences: list[list[int]]) -> list[list[float]]:
    made = forward(PluginName(), CONFIG, sequences, weights).to_list()
    return [made[start : start + 5] for start in range(0, len(made), 5)]


def test_a_token_sees_those_before_it_in_its_own_sequence() -> None:
    whole = logits([[0, 1, 2], [3, 4]])
    other = logits([[0, 1, 4], [3, 4]])
    for position in (0, 1, 3, 4):
        assert whole[position] == pytest.approx(other[position])
    assert whole[2] != pytest.approx(other[2])
    assert logits([[1, 1, 2], [3, 4]])[1] != pytest.approx(whole[1])


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(Error, match="`hidden_size` is 6, not a multiple of twice `num_attention_heads`, 2"):
        PluginName().load({**CONFIG, "hidden_size": 6})
