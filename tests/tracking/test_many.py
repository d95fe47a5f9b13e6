"""Many processes at once on one store: every run is made once, every point is there once, and nobody is turned away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rlx2_ray.tracking.store import find_or_create_experiment
from tests.support.runs import database_uri, environment
from tests.tracking.test_outage import Server, server
from tests.tracking.test_tracker import Desk, desk, history, stored_run, template

__all__ = ["desk", "server", "template"]  # fixtures

# A trial that logs a point of 20 metrics every 10 ms for some seconds, far more often than any trial does.
TRIAL = """
import sys, time
from rlx2_ray.tracking.tracker import Tracker

uri, parent, key, seconds = sys.argv[1:]
tracker = Tracker(uri, "sweep", key, key, {"rlx2.seed": key}, {"seed": key}, warn=print, parent_run_id=parent)
tracker.start()
print("ready", flush=True)
sys.stdin.readline()
end, step = time.monotonic() + float(seconds), 0
while time.monotonic() < end:
    step += 1
    tracker.log([{"env_steps": step, **{f"metric/{index}": step for index in range(20)}}])
    time.sleep(0.01)
print(tracker.run_id, step, tracker.finish("FINISHED"))
"""

# A driver, which begins when it is told to.
DRIVER = """
import sys
from rlx2_ray.tracking.tracker import Tracker

uri, key = sys.argv[1:]
parent = Tracker(uri, "sweep", key, key, {}, {}, warn=print)
print("ready", flush=True)
sys.stdin.readline()
print(parent.start_or_fail(), 0, parent.finish("FINISHED"))
"""


class Report(NamedTuple):
    run_id: str
    steps: int  # logged
    all_there: bool


def run_at_once(program: str, arguments: list[list[str]]) -> list[Report]:
    """A process for each list of arguments; all begin together once all are ready, and have nothing to say."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-W", "error", "-c", program]
    processes = [subprocess.Popen([*command, *own], text=True, env=environment(), **pipes) for own in arguments]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * len(processes)  # type: ignore[union-attr]
    for process in processes:
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [error for _, error in outputs] == [""] * len(processes)
    return [_report(output) for output, _ in outputs]


def _report(output: str) -> Report:
    (line,) = output.splitlines()  # a second one would be a warning
    run_id, steps, all_there = line.split()
    return Report(run_id, int(steps), all_there == "True")


def check_trials(uri: str, count: int, seconds: float) -> None:
    from mlflow.tracking import MlflowClient

    parent = Desk(uri).tracker("parent", experiment_name="sweep").start_or_fail()
    reports = run_at_once(TRIAL, [[uri, parent, f"trial{index}", str(seconds)] for index in range(count)])

    assert all(report.all_there for report in reports)
    for report in reports:
        assert report.steps > seconds * 10
        expected = [(step, step) for step in range(1, report.steps + 1)]
        for name in ("metric/0", "metric/19"):
            assert history(uri, report.run_id, name) == expected
        assert stored_run(uri, report.run_id).data.tags["mlflow.parentRunId"] == parent
    experiment_id = stored_run(uri, parent).info.experiment_id
    found = {run.info.run_id for run in MlflowClient(uri).search_runs([experiment_id])}
    assert found == {parent, *(report.run_id for report in reports)}
    assert len(found) == count + 1


def check_drivers(uri: str) -> None:
    """Each sweep has its run, and both the same experiment."""
    reports = run_at_once(DRIVER, [[uri, "one"], [uri, "two"]])
    assert all(report.all_there for report in reports)
    runs = [stored_run(uri, report.run_id) for report in reports]
    assert [run.data.tags["rlx2.trial_key"] for run in runs] == ["one", "two"]
    assert runs[0].info.experiment_id == runs[1].info.experiment_id


def test_trials_share_a_database(tmp_path: Path) -> None:
    check_trials(database_uri(tmp_path), count=3, seconds=1.0)


@pytest.mark.slow
def test_eight_trials_share_a_database(tmp_path: Path) -> None:
    check_trials(database_uri(tmp_path), count=8, seconds=6.0)


@pytest.mark.slow
def test_eight_trials_share_a_server(server: Server) -> None:
    server.start()
    check_trials(server.uri, count=8, seconds=4.0)


def test_two_drivers_begin_at_once_in_a_database_that_is_not_there(tmp_path: Path) -> None:
    check_drivers(f"sqlite:///{tmp_path}/new/mlflow.db")


@pytest.mark.slow
def test_two_drivers_begin_at_once_on_a_server(server: Server) -> None:
    server.start()
    check_drivers(server.uri)


def test_experiment_that_someone_else_makes_at_the_same_moment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(desk.uri)
    look = client.get_experiment_by_name

    def look_before_it_is_made(name: str) -> None:
        client.create_experiment(name)
        monkeypatch.setattr(client, "get_experiment_by_name", look)

    monkeypatch.setattr(client, "get_experiment_by_name", look_before_it_is_made)
    assert find_or_create_experiment(client, "sweep", None) == look("sweep").experiment_id
