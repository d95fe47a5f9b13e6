"""The check before an export is put in place: it passes what differs by rounding, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rlx2_ray.export.check import check, random_observations
from rlx2_ray.export.identity import InUnits
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, make_evaluation_policy
from rlx2_ray.types import Floats, RunFailed, Spaces


class Shifted:
    def __init__(self, network: DenseNetwork, change: Callable[[Floats], Floats]) -> None:
        self._policy = make_evaluation_policy("td3", network)
        self._change = change

    def action(self, observation: Floats) -> Floats:
        return self._change(self._policy.action(observation))


def network(weight: float) -> DenseNetwork:
    return DenseNetwork([DenseLayer(np.full((2, 3), weight, np.float32), np.zeros(2, np.float32))])


def test_equal_actions_pass() -> None:
    checked = check(
        Shifted(network(0.1), lambda action: action + np.float32(1e-6)),
        network(0.1),
        "test",
        ones := random_observations(3),
    )
    assert (checked.by, checked.observations) == ("test", len(ones))
    assert checked.max_difference == pytest.approx(1e-6, rel=0.1)


@pytest.mark.parametrize("change", [lambda action: action + 3e-5, lambda action: action * np.nan])
def test_other_actions_do_not(change: Callable[[Floats], Floats]) -> None:
    with pytest.raises(RunFailed, match="run by test, differs"):
        check(Shifted(network(0.1), change), network(0.1), "test", random_observations(3))


def test_more_is_allowed_where_the_trainer_rounds_more() -> None:
    """Two hidden units whose great values cancel: float32 itself is wrong by more than the tolerance."""
    first = DenseLayer(np.array([[1e4, 1, 0], [1e4, -1, 0]], np.float32), np.full(2, 5e4, np.float32))
    last = DenseLayer(np.array([[1, -1]], np.float32) / 10, np.zeros(1, np.float32))
    cancelling = DenseNetwork([first, last])
    check(Shifted(cancelling, lambda action: action + np.float32(2e-5)), cancelling, "test", random_observations(3))


def test_units_and_back() -> None:
    spaces = Spaces(1, 3, (-3.0, 0.0, 2.0), (1.0, 10.0, 2.0))
    policy = InUnits(lambda observations: np.array([[-3, 10, 2]], np.float32), spaces)
    np.testing.assert_array_equal(policy.action(np.zeros(1, np.float32)), [-1, 1, -1])
    assert policy.action(np.zeros((1, 1), np.float32)).shape == (1, 3)
