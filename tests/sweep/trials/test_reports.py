"""What a trial reports."""

from __future__ import annotations

import math

import pytest

from rlx2_ray.runs.parts import Point
from rlx2_ray.sweep.description.reported import REPORTED
from rlx2_ray.sweep.trials.reports import report_of
from tests.support.runs import small_config

POINT: Point = {"env_steps": 100, "learner_steps": 0, "return_mean": 4.0, "return_std": 0.0, "wall_s": 0.5}


@pytest.mark.parametrize("metric", REPORTED)
def test_every_metric_of_a_sweep_is_reported_from_the_first_point_on(metric: str) -> None:
    """Tune ends a sweep whose metric is missing in a report, be it of the warm-up or known at the end alone."""
    known = {**POINT, "score": 4.0}
    value = report_of([POINT], small_config().evaluation)[metric]
    assert value == known[metric] if metric in known else math.isnan(value)
