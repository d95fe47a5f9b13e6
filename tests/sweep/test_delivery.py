"""A store that is away, or a new one: `rlx2 resume` delivers what it has not got, of runs, trials and sweeps."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.experiment.display import LogDisplay
from rlx2_ray.runs.directory import RunDirectory, Tracking, Waiting
from rlx2_ray.sweep.delivery import begin_anew, deliver_trials
from tests.support.campaigns import (
    NAMES,
    check_every_point_once,
    finished_trials,
    kill,
    parent_and_children,
    resume_sweep,
    start_sweep,
    sweep_arguments,
    sweep_tree,
)
from tests.support.runs import (
    database_uri,
    evaluated_steps,
    metric_histories,
    rlx2,
    small_arguments,
    small_config,
    start_rlx2,
    tracked_run,
    wait_for,
)
from tests.tracking.test_outage import Server, server
from tests.tracking.test_tracker import free_port

__all__ = ["server"]  # a fixture


def host(directory: Path) -> session.Host:
    return session.Host(make_display=partial(LogDisplay, directory / "log.txt"))


def test_a_run_that_was_stopped_while_the_store_was_away(tmp_path: Path) -> None:
    """As a trial that a scheduler stops: it is not finished, and nobody goes on with it."""
    directory = tmp_path / "one"
    uri = database_uri(tmp_path)
    database = Path(uri.removeprefix("sqlite:///"))
    aside = database.rename(tmp_path / "aside.db")
    database.mkdir()  # a database that cannot be opened
    training = session.begin(
        small_config(), directory, Tracking(uri, "tests", parent_run_id="of old"), train_on_runtime, host(directory)
    )
    next(training)
    next(training)
    training.close()
    run = RunDirectory(directory)
    assert run.waiting() == Waiting("KILLED", 2)
    run.mark_undelivered()  # as where the process was killed before it could say how much
    assert run.waiting() == Waiting("KILLED", 2)
    said = (directory / "log.txt").read_text().splitlines()[-1]
    assert said.endswith(f"2 points wait for MLflow: 'rlx2 resume {directory}' delivers them.")
    assert deliver_trials(tmp_path, pytest.fail) == 2

    database.rmdir()
    aside.rename(database)
    begin_anew(tmp_path, uri, "of now")
    assert deliver_trials(tmp_path, pytest.fail) is None
    assert run.waiting() is None
    assert run.open()[1].parent_run_id == "of now"
    assert tracked_run(directory).data.tags["mlflow.parentRunId"] == "of now"
    assert [step for step, _ in metric_histories(directory)["evaluation/return_mean"]] == [100, 200]
    assert deliver_trials(tmp_path, pytest.fail) is None


def test_a_run_says_how_many_points_wait(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    uri = f"http://127.0.0.1:{free_port()}"
    done = rlx2("train", *small_arguments(steps=300), "--tracking-uri", uri, "--out", str(directory), folder=tmp_path)
    assert done.returncode == 0
    assert f"4 points wait for MLflow: 'rlx2 resume {directory}' delivers them." in done.stderr


def children_of(uri: str, experiment: str = "rlx2") -> tuple[Any, dict[str, Any]]:
    """Of a server: the parent, and its trials by name."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = {run.data.tags["rlx2.trial"]: run for run in runs if run is not parent}
    assert len(children) == len(runs) - 1
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {parent.info.run_id}
    return parent, children


@pytest.mark.slow
def test_a_server_that_dies_before_the_end_of_a_sweep(tmp_path: Path, server: Server) -> None:
    from mlflow.tracking import MlflowClient

    server.start()
    directory = tmp_path / "sweep"
    process = start_rlx2(*sweep_arguments(directory, sweep_tree(), server.uri), folder=tmp_path)
    wait_for(lambda: finished_trials(directory), process, 300)
    server.die()
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert f"wait for MLflow: 'rlx2 resume {directory}' delivers them." in error
    assert (directory / "undelivered").exists()

    away = resume_sweep(directory)
    assert away.code == 0
    assert f"'rlx2 resume {directory}' delivers them." in away.error

    server.start()
    again = resume_sweep(directory)
    assert again.code == 0
    assert "wait" not in again.error
    parent, children = children_of(server.uri)
    assert again.result["mlflow_run_id"] == parent.info.run_id
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert sorted(children) == NAMES
    client = MlflowClient(server.uri)
    for name, run in children.items():
        history = client.get_metric_history(run.info.run_id, "evaluation/return_mean")
        assert [metric.step for metric in history] == evaluated_steps(directory / "trials" / name)
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"record.json", "sweep.yaml", "report.html"} <= names
    assert not list(tmp_path.rglob("undelivered"))


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [True, False])
def test_a_store_that_is_new_at_resume(is_killed: bool, tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    process = start_sweep(directory, sweep_tree())
    if is_killed:
        wait_for(lambda: finished_trials(directory), process, 300)
        kill(process, with_ray=True)
    else:
        process.communicate(timeout=300)
        assert process.returncode == 0
    for file in tmp_path.glob("mlflow.db*"):
        file.unlink()
    done = resume_sweep(directory)
    assert done.code == 0, done.error
    parent, children = parent_and_children(directory)
    assert sorted(children) == NAMES
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert done.result["mlflow_run_id"] == parent.info.run_id
    check_every_point_once(directory, {name: [100, 200, 300] for name in NAMES})
