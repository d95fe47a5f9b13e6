"""Runs that are killed ten times, at any moment, and end as if nothing had happened."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.config.resolution import ALGORITHMS
from tests.support.runs import (
    RLX2,
    Changes,
    ended,
    environment,
    evaluated_steps,
    metric_histories,
    read_points,
    resume,
    rlx2,
    start_train,
    tracked_run,
    train,
    wait_for,
)

KILLS = 10
EARLY = (3, 5, 8)  # those that hit a process before it works, or as it begins to
START_S = 4.0  # what a process takes until then, at least
POINTS = range(1, 9)  # that a process adds before another kill: ten kills leave some of them over
# Much of the time goes to checkpoints and evaluations, so that they are hit too.
RUN: Changes = {"steps": 4000, "checkpoint__interval": 30, "evaluation__interval": 50, "evaluation__episodes": 2}
METHODS = ("dense", "set", "rlx2", "prune", "ds", "nm")  # those whose state has parts that the others have not
POINT_S = 0.05  # about what a point takes
TIMED = {"wall_s", "evaluation_s", "env_steps_per_s", "learner_steps_per_s"}
PLACED = {"mlflow_run_id", "checkpoint"}


def changes_of(algo: str, method: str) -> Changes:
    changes = RUN | {"algo": algo, "method": method}
    sparsity = {"dense": 0, "ds": 0, "nm": 0.5}.get(method)
    if sparsity is not None:
        changes |= {"sparsity__policy": sparsity, "sparsity__critic": sparsity}
    return changes


def start_resume(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(RLX2), "resume", str(directory)],
        cwd=directory.parent,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def begins(directory: Path) -> Callable[[], bool]:
    """A process that goes on with a run begins by replacing its points."""
    points = directory / "progress.jsonl"
    before = points.stat().st_ino if points.exists() else None
    return lambda: points.exists() and points.stat().st_ino != before


def count_points(directory: Path) -> int:
    """Without the line that may be half written."""
    return (directory / "progress.jsonl").read_bytes().count(b"\n")


def await_early_moment(process: subprocess.Popen[str], moments: random.Random, has_begun: Callable[[], bool]) -> None:
    deadline = time.monotonic() + moments.uniform(0, START_S)
    wait_for(lambda: has_begun() or time.monotonic() > deadline, process)


def await_moment_at_work(
    directory: Path, process: subprocess.Popen[str], moments: random.Random, has_begun: Callable[[], bool]
) -> None:
    wait_for(has_begun, process)
    enough = count_points(directory) + moments.choice(POINTS)
    wait_for(lambda: count_points(directory) >= enough, process)
    time.sleep(moments.uniform(0, POINT_S))


def newest_checkpoint(directory: Path) -> int:
    """Its env steps; 0 where there is none."""
    names = (path.name for path in directory.glob("checkpoints/step_*"))
    return max((int(name.removeprefix("step_")) for name in names), default=0)


def live_and_die(directory: Path, changes: Changes, life: int, moments: random.Random) -> int:
    """One life of the run, the first or another; returns the exit code of its process."""
    has_begun = begins(directory)
    with ended(start_resume(directory) if life else start_train(directory, **changes)) as process:
        if life in EARLY:
            await_early_moment(process, moments, has_begun)
        else:
            await_moment_at_work(directory, process, moments, has_begun)
        process.kill()
        process.communicate()
    return process.returncode


def lasting(result: dict[str, Any]) -> dict[str, Any]:
    """What of a result is the same for the same run elsewhere and at another time."""
    return {name: value for name, value in result.items() if name not in TIMED | PLACED}


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_run_that_is_killed_ten_times_ends_like_an_undisturbed_one(algo: str, method: str, tmp_path: Path) -> None:
    undisturbed, directory = (tmp_path / name / "run" for name in ("undisturbed", "killed"))
    for parent in (undisturbed.parent, directory.parent):
        parent.mkdir()
    changes = changes_of(algo, method)
    expected = train(undisturbed, **changes)

    moments = random.Random(f"{algo} {method}")
    killed = []  # the newest checkpoint after each kill
    for life in range(KILLS):
        assert live_and_die(directory, changes, life, moments) == -signal.SIGKILL
        killed.append(newest_checkpoint(directory))
    assert killed == sorted(killed)
    assert len(set(killed)) >= 3, "it got on between the kills"

    last = rlx2("resume", str(directory), folder=directory.parent)
    assert last.returncode == 0, last.stderr
    assert "damaged" not in last.stderr
    assert lasting(resume(directory)) == lasting(expected)
    check_same_points(directory, undisturbed)


def check_same_points(directory: Path, undisturbed: Path) -> None:
    """In the run directory and in MLflow, each once; their times aside."""
    steps = list(range(50, RUN["steps"] + 1, 50))
    assert evaluated_steps(directory) == steps
    assert [untimed(point) for point in read_points(directory)] == [
        untimed(point) for point in read_points(undisturbed)
    ]
    histories, expected = metric_histories(directory), metric_histories(undisturbed)
    assert [step for step, _ in histories["evaluation/return_mean"]] == steps
    assert [step for step, _ in histories["throughput/env_steps_per_s"]] == steps
    assert untimed(histories) == untimed(expected)
    assert tracked_run(directory).info.status == "FINISHED"


def untimed(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "wall_s" and not name.startswith("throughput/")}
