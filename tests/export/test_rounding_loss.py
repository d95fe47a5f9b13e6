"""What rounding costs: an interval against scipy, and a warning where return is or may be lost."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from rlx2_ray.export.rounding_loss import Episodes, Loss, Rounding, measure_loss, warning_of
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, densify
from rlx2_ray.networks.policy_file import load_policy
from tests.support.runs import ROOT

TRAINED = ROOT / "results/inverted_pendulum_policy.safetensors"


def loss(lost: float, interval: tuple[float, float] | None, difference: float) -> Loss:
    return Loss(10, 0, 100.0, 100.0 - lost, lost, interval, difference)


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (loss(30.0, (20.0, 40.0), 0.9), "Return is lost by --int8: 100.0 before rounding, 70.0 after"),
        (loss(30.0, (-20.0, 80.0), 0.9), "Return may be lost by --int8"),
        (loss(30.0, None, 0.0), "Return may be lost"),
        (loss(0.0, (0.0, 0.0), 0.06), "Return may be lost"),
        (loss(0.05, (0.04, 0.06), 0.04), None),
        (loss(0.05, (0.04, 0.06), 0.06), "Return may be lost"),
        (loss(0.2, (0.1, 0.3), 0.04), "Return is lost"),
        (loss(0.0, (0.0, 0.0), 0.04), None),
        (loss(-3.0, (-9.0, 3.0), 0.0), None),
        (loss(-30.0, (-40.0, -20.0), 0.9), "Return may be lost"),
    ],
)
def test_warning_tells_sure_from_possible(measured: Loss, words: str | None) -> None:
    warning = warning_of(Rounding("int8", Episodes(10)), measured)
    assert (warning is None) == (words is None)
    assert words is None or str(warning).startswith(words)


@pytest.mark.parametrize(
    ("name", "is_tuned", "remedy"),
    [
        ("int8", False, "Give --tune, --int16, or no integers where that is too much; more --episodes tell more."),
        ("int8", True, "Give --int16, or no integers where"),
        ("int16", False, "Give --tune, or no integers where"),
        ("int16", True, "Give no integers where"),
    ],
)
def test_remedies_are_those_that_were_not_taken(name: str, is_tuned: bool, remedy: str) -> None:
    assert remedy in str(warning_of(Rounding(name, Episodes(10), is_tuned), loss(30.0, None, 0.0)))


def test_a_policy_that_does_nothing_loses_what_the_other_gained() -> None:
    policy = load_policy(TRAINED)
    network = [
        DenseLayer(np.zeros_like(layer.weights), np.zeros_like(layer.bias)) for layer in densify(policy.layers).layers
    ]
    found = measure_loss(policy, DenseNetwork(network), TRAINED, Episodes(4))
    assert found.return_before == 1000
    assert found.return_lost == found.return_before - found.return_after > 900
    assert found.return_lost_interval is not None
    assert found.return_lost_interval[0] > 900
    assert 0 < found.max_difference <= 1
    unchanged = measure_loss(policy, densify(policy.layers), TRAINED, Episodes(1))
    assert (unchanged.return_lost, unchanged.return_lost_interval, unchanged.max_difference) == (0, None, 0)


def test_interval_is_that_of_a_paired_t_test() -> None:
    from rlx2_ray.export.rounding_loss import _interval

    lost = np.array([3.0, -1.0, 8.0, 2.0])
    expected = ttest_1samp(lost, 0).confidence_interval()
    assert _interval(lost) == pytest.approx((expected.low, expected.high))
