import math

import pytest

from focal import Focal
from swift_plugin import Error
from swift_plugin.testing import ModelOutputs, PackedBatch, check_gradient, evaluate

# Two sequences with two labels and one.
BATCH = PackedBatch([3, 2])
POLICY = ModelOutputs([-0.1, -2.0, 0.0, -1.0, 0.0])


def focal(logp: float, gamma: float) -> float:
    return -math.pow(1.0 - math.exp(logp), gamma) * logp


def test_the_loss_follows_the_formula() -> None:
    expected = sum(focal(logp, 3.0) for logp in (-0.1, -2.0, -1.0)) / 3
    assert evaluate(Focal(gamma=3.0), BATCH, POLICY).loss == pytest.approx(expected, rel=1e-12)


def test_without_gamma_it_is_cross_entropy() -> None:
    assert evaluate(Focal(gamma=0.0), BATCH, POLICY).loss == pytest.approx(3.1 / 3, rel=1e-12)


def test_a_micro_batch_gives_its_share_of_the_window() -> None:
    whole = evaluate(Focal(), BATCH, POLICY).loss
    part = evaluate(Focal(), PackedBatch([3, 2], window=(12, 8, 4)), POLICY).loss
    assert part == pytest.approx(whole / 4, rel=1e-12)


def test_the_weight_is_the_mean_over_the_labels() -> None:
    expected = sum((1.0 - math.exp(logp)) ** 2 for logp in (-0.1, -2.0, -1.0)) / 3
    assert evaluate(Focal(), BATCH, POLICY).metrics == {"focal/weight": pytest.approx(expected, rel=1e-12)}


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_gradient_agrees_with_finite_differences(gamma: float) -> None:
    weighted = PackedBatch([3, 2], loss_weights=[0.5, 2.0, 0.0, 1.0, 0.0])
    check_gradient(Focal(gamma=gamma), weighted, POLICY)


def test_a_negative_gamma_is_refused() -> None:
    with pytest.raises(Error, match="parameter `gamma` is -1, and must be at least 0.0"):
        Focal.from_json('{"gamma": -1}')
