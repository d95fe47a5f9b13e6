"""The rate of a whole run: training and, at the pace of its env steps, its evaluations."""

from __future__ import annotations

import pytest

from rlx2_ray.bench.train import whole_speed
from tests.support.runs import Changes, small_config

LENGTH = 1_000  # of a full episode
RATE = 1e9  # env steps a second of a training that takes no time
SHORT: Changes = {"steps": 1_000, "evaluation__interval": 1_000, "evaluation__deployed_episodes": 0}


def seconds(**changes: object) -> float:
    config = small_config(**SHORT | changes)
    return config.steps / whole_speed(config, RATE)


def test_evaluations_count_by_their_number_and_length() -> None:
    one = seconds(evaluation__episodes=1)
    assert LENGTH * 1e-6 < one < LENGTH * 1e-2, "an env step takes microseconds"
    assert seconds(evaluation__episodes=100) / one == pytest.approx(100, rel=0.8)
    assert seconds(evaluation__episodes=1, evaluation__deployed_episodes=99) / one == pytest.approx(100, rel=0.8)


def test_a_slow_training_is_as_slow_with_few_evaluations() -> None:
    assert whole_speed(small_config(**SHORT, evaluation__episodes=1), 1.0) == pytest.approx(1.0, rel=0.01)
