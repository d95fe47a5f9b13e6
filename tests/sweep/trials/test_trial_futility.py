"""Trials of a compression and the floor: a hopeless sparse one ends early, a dense one never."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray.tune")

from rlx2_ray.runs.directory import Tracking
from rlx2_ray.search.ledger import Request
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.sweep.description.files import parse_compress
from rlx2_ray.sweep.trials.futility import Floor, save_floor
from rlx2_ray.sweep.trials.job import Job
from rlx2_ray.sweep.trials.trial import SweepTrial
from tests.support.campaigns import read_result
from tests.support.compressions import compress_tree
from tests.support.runs import compile_kernels, database_uri

STEPS = 400
DENSE, SPARSE = Request(0.0, 0.0, 0, "dense"), Request(0.5, 0.0, 0, "search")


def run_trial(folder: Path, request: Request, floor: Floor | None) -> list[dict[str, Any]]:
    """What it reports to Tune, to its end."""
    compile_kernels()
    problem = Problem(parse_compress(compress_tree(steps=STEPS)))
    uri = database_uri(folder)
    job = Job(folder / "trials", Tracking(uri, "tests"), uri, problem.planner, folder / "floor.json")
    if floor is not None:
        save_floor(floor, folder / "floor.json")
    trial = SweepTrial.__new__(SweepTrial)
    trial._trial_info = None
    trial.setup(request._asdict(), job)
    reports = []
    while not reports or not reports[-1].get("done"):
        reports.append(trial.step())
    trial.cleanup()
    return reports


def test_hopeless_sparse_trial_ends_early_and_counts_as_its_value(tmp_path: Path) -> None:
    *_, last = run_trial(tmp_path, SPARSE, Floor({200: -1e9, 300: 1e9}))
    assert (last["ended_early"], last["env_steps"]) == (True, 300)
    result = read_result(tmp_path / "trials" / "p0.5000-c0.0000-s0")
    assert last["score"] == result["score"]
    assert result["score"] == pytest.approx(sum(each["return_mean"] for each in result["evaluations"]) / 3)


def test_hopeless_trial_hands_out_a_policy_that_is_played_as_all_are(tmp_path: Path) -> None:
    """The best one until it was stopped."""
    *earlier, last = run_trial(tmp_path, SPARSE, Floor({200: -1e9, 300: 1e9}))
    assert all(math.isnan(report["deployed"]) for report in earlier)
    played = read_result(tmp_path / "trials" / "p0.5000-c0.0000-s0")["deployed"]
    assert (last["deployed"], played["episodes"]) == (played["return_mean"], 2)
    assert 200 < played["env_steps"] <= 300


@pytest.mark.parametrize(("request_", "floor"), [(DENSE, Floor({200: 1e9, 300: 1e9})), (SPARSE, None)])
def test_dense_trial_and_one_before_the_floor_is_known_go_on(
    request_: Request, floor: Floor | None, tmp_path: Path
) -> None:
    *_, last = run_trial(tmp_path, request_, floor)
    assert (last["ended_early"], last["env_steps"]) == (False, STEPS)
