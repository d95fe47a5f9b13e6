"""A run goes on to more env steps than it had, as if it had had them from the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.types import BadInput
from tests.support.runs import evaluated_steps, metric_histories, read_points, tracked_runs, train

# What follows from the steps, given: so that it is the same of both lengths.
FIXED: dict[str, Any] = {"topology__end_update": 350, "evaluation__score_window": 2}
CLOCKS = ("per_s", "_s", "wall_s")


def more(directory: Path, steps: int, **changes: Any) -> dict[str, Any]:
    return session.resume(directory, train_on_runtime, {"steps": steps, **changes})


def without_clocks(values: dict[str, Any]) -> dict[str, Any]:
    own = ("mlflow_run_id", "checkpoint")
    return {name: value for name, value in values.items() if not name.endswith(CLOCKS) and name not in own}


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_longer_run_equals_one_that_had_the_steps_from_the_start(algo: str, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", algo=algo, steps=700, **FIXED)
    train(tmp_path / "run", algo=algo, steps=400, **FIXED)
    longer = more(tmp_path / "run", 700)
    assert without_clocks(longer) == without_clocks(whole)
    points = [[without_clocks(point) for point in read_points(tmp_path / name)] for name in ("run", "whole")]
    assert points[0] == points[1]
    assert RunDirectory(tmp_path / "run").open()[0].steps == 700


def test_it_stays_one_run_of_mlflow_with_no_point_twice(tmp_path: Path) -> None:
    first = train(tmp_path / "run", steps=300)
    second = more(tmp_path / "run", 500)
    assert second["mlflow_run_id"] == first["mlflow_run_id"]
    (tracked,) = tracked_runs(tmp_path / "run")
    assert tracked.info.status == "FINISHED"
    assert evaluated_steps(tmp_path / "run") == [100, 200, 300, 400, 500]
    histories = metric_histories(tmp_path / "run")
    assert [step for step, _ in histories["evaluation/return_mean"]] == [100, 200, 300, 400, 500]
    assert [step for step, _ in histories["score"]] == [300, 500]
    assert second["deployed"]["episodes"] == 2


def test_window_of_the_score_is_that_of_the_new_length(tmp_path: Path) -> None:
    train(tmp_path / "derived", steps=400, evaluation__score_window=1)
    assert more(tmp_path / "derived", 1200)["score_window"] == 3, "a quarter of twelve"
    train(tmp_path / "given", steps=300, evaluation__score_window=2)
    assert more(tmp_path / "given", 400)["score_window"] == 2


@pytest.mark.parametrize(
    ("steps", "problem"), [(300, "has done 300: give more"), (250, "has done 300"), ("many", "steps is 'many'")]
)
def test_fewer_steps_are_refused_and_nothing_is_changed(steps: Any, problem: str, tmp_path: Path) -> None:
    train(tmp_path / "run", steps=300)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=problem):
        more(tmp_path / "run", steps)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


def test_run_without_checkpoints_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "run", steps=300)
    for path in sorted((tmp_path / "run" / "checkpoints").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(BadInput, match="has no checkpoint to go on from: train anew"):
        more(tmp_path / "run", 500)
    assert (tmp_path / "run" / "result.json").exists()


def test_other_keys_of_a_run_that_has_ended_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run", steps=300)
    assert run(["resume", str(tmp_path / "run"), "--set", "agent.discount=0.9"]) == 2
    assert "has ended: leave it out, or let the run go on with --steps N" in capsys.readouterr().err
    with pytest.raises(BadInput, match=r"agent\.discount is fixed for a run that has begun"):
        more(tmp_path / "run", 400, agent={"discount": 0.9})
    assert json.loads((tmp_path / "run" / "result.json").read_text())["env_steps"] == 300


def test_kill_after_its_end_was_forgotten_leaves_a_run_that_ends_again(tmp_path: Path) -> None:
    first = train(tmp_path / "run", steps=300)
    directory = RunDirectory(tmp_path / "run")
    directory.forget_end()
    assert without_clocks(session.resume(tmp_path / "run", train_on_runtime)) == without_clocks(first)
    assert more(tmp_path / "run", 400)["env_steps"] == 400
