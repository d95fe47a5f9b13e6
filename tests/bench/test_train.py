"""The rate of a whole run: training and, at the pace of its env steps, its evaluations."""

from __future__ import annotations

import pytest

from rlx2_ray.bench.train import whole_speed, with_evaluations
from tests.support.runs import Changes, small_config

SHORT: Changes = {"steps": 1_000, "evaluation__interval": 1_000, "evaluation__deployed_episodes": 0}


@pytest.mark.parametrize(
    ("steps", "rate", "evaluated", "step_s", "whole"),
    [
        (1_000, 500.0, 0, 0.5, 500.0),  # no evaluation
        (1_000, 500.0, 4_000, 0.001, 1_000 / 6),  # 2 s of training and 4 s of evaluation
        (1_000, 1e9, 4_000, 0.001, 250.0),  # a training that takes no time
    ],
)
def test_the_steps_are_those_of_training_and_the_time_is_that_of_both(
    steps: int, rate: float, evaluated: int, step_s: float, whole: float
) -> None:
    assert with_evaluations(steps, rate, evaluated, step_s) == pytest.approx(whole, rel=1e-5)


def test_a_slow_training_is_as_slow_with_few_evaluations() -> None:
    assert whole_speed(small_config(**SHORT, evaluation__episodes=1), 1.0) == pytest.approx(1.0, rel=0.01)


def test_evaluations_take_time() -> None:
    config = small_config(**SHORT, evaluation__episodes=100)
    assert whole_speed(config, 1e9) < 1e6, "100,000 env steps of a microsecond each would be faster than that"
