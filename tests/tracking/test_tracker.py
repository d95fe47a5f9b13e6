"""The tracker against SQLite files, and against servers that are not there."""

from __future__ import annotations

import math
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.tracking import store
from rlx2_ray.tracking import tracker as tracker_module
from rlx2_ray.tracking.params import to_params
from rlx2_ray.tracking.tracker import Tracker
from rlx2_ray.tracking.uri import DEFAULT_TRACKING_URI, resolve_tracking_uri
from rlx2_ray.types import BadInput

RETURN = "evaluation/return_mean"
LOSS = "train/critic_loss"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """Makes trackers of one store, and keeps what they warn of."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.warnings: list[str] = []
        self.clock = Clock()

    def tracker(self, trial_key: str = "key", **changes: Any) -> Tracker:
        arguments: dict[str, Any] = {
            "experiment_name": "hopper",
            "run_name": "td3",
            "tags": {"algo": "td3"},
            "params": {"env": {"id": "Hopper-v5"}, "seed": 3},
            "clock": self.clock,
        } | changes
        return Tracker(self.uri, trial_key=trial_key, warn=self.warnings.append, **arguments)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that has its tables already: making them takes longer than all that a test does."""
    database = tmp_path_factory.mktemp("template") / "mlflow.db"
    tracker = Desk(f"sqlite:///{database}").tracker(experiment_name="template")
    assert tracker.finish("FINISHED")
    return database


@pytest.fixture
def desk(template: Path, tmp_path: Path) -> Desk:
    database = tmp_path / "a folder" / "mlflow.db"
    database.parent.mkdir()
    with closing(sqlite3.connect(template)) as source, closing(sqlite3.connect(database)) as copy:
        source.backup(copy)
    return Desk(f"sqlite:///{database}")


def point(env_steps: int, **values: float) -> dict[str, float]:
    return {"env_steps": env_steps, RETURN: env_steps / 10, LOSS: 1.0} | values


def stored_run(uri: str, run_id: str | None) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri).get_run(run_id)


def history(uri: str, run_id: str | None, name: str = RETURN) -> list[tuple[int, float]]:
    from mlflow.tracking import MlflowClient

    return sorted((metric.step, metric.value) for metric in MlflowClient(uri).get_metric_history(run_id, name))


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """What a tracker's thread brings about takes its time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def test_run_holds_what_was_logged(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    tracker = desk.tracker(parent_run_id="0123abcd")
    tracker.start()
    assert stored_run(desk.uri, tracker.run_id).info.status == "RUNNING"
    tracker.log([point(1000), point(2000)])
    tracker.log_tags({"outcome": "good"})
    tracker.log_artifacts([tmp_path / "config.yaml"])
    assert tracker.finish("FINISHED")

    run = stored_run(desk.uri, tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time is not None
    assert run.info.run_name == "td3"
    assert run.data.params == {"env.id": "Hopper-v5", "seed": "3"}
    expected_tags = {"rlx2.trial_key": "key", "mlflow.parentRunId": "0123abcd", "algo": "td3", "outcome": "good"}
    assert expected_tags.items() <= run.data.tags.items()
    assert history(desk.uri, tracker.run_id) == [(1000, 100.0), (2000, 200.0)]
    artifact = tmp_path / "a folder" / "mlartifacts" / run.info.run_id / "artifacts" / "config.yaml"
    assert artifact.read_text() == "seed: 3\n"
    assert desk.warnings == []


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_status_is_the_outcome(desk: Desk, status: Any) -> None:
    tracker = desk.tracker()
    assert tracker.finish(status)
    assert stored_run(desk.uri, tracker.run_id).info.status == status


def test_resumed_trial_continues_its_run_and_adds_no_point_twice(desk: Desk) -> None:
    crashed = desk.tracker()
    crashed.start()
    crashed.log([point(1000), point(2000)])
    wait_until(lambda: history(desk.uri, crashed.run_id))

    resumed = desk.tracker(params={"seed": 4, "new": 1})
    resumed.start()
    assert resumed.run_id == crashed.run_id
    resumed.log([point(2000), point(3000)])
    resumed.log([point(3000)])
    assert resumed.finish("FINISHED")

    expected = [(1000, 100.0), (2000, 200.0), (3000, 300.0)]
    assert history(desk.uri, resumed.run_id) == expected
    assert history(desk.uri, resumed.run_id, LOSS) == [(step, 1.0) for step, _ in expected]
    assert stored_run(desk.uri, resumed.run_id).data.params == {"env.id": "Hopper-v5", "seed": "3", "new": "1"}


def test_finished_run_is_running_again_after_a_resume(desk: Desk) -> None:
    desk.tracker().finish("KILLED")
    resumed = desk.tracker()
    resumed.start()
    assert stored_run(desk.uri, resumed.run_id).info.status == "RUNNING"


def test_half_written_point_is_completed(desk: Desk) -> None:
    crashed = desk.tracker()
    crashed.log([{"env_steps": 1000, RETURN: 100.0}])
    crashed.finish("FAILED")
    resumed = desk.tracker()
    resumed.log([point(1000)])
    assert resumed.finish("FINISHED")
    assert history(desk.uri, resumed.run_id) == [(1000, 100.0)]
    assert history(desk.uri, resumed.run_id, LOSS) == [(1000, 1.0)]


def test_finish_waits_for_the_batches_that_are_on_their_way(desk: Desk) -> None:
    tracker = desk.tracker()
    tracker.start()
    tracker.log([point(step) for step in range(3000)])
    wait_until(lambda: history(desk.uri, tracker.run_id))  # the first of six
    assert tracker.finish("FINISHED")
    assert len(history(desk.uri, tracker.run_id)) == len(history(desk.uri, tracker.run_id, LOSS)) == 3000


def test_values_that_are_not_finite_become_nan(desk: Desk) -> None:
    tracker = desk.tracker()
    tracker.log([point(1, **{LOSS: math.inf}), point(2, **{LOSS: math.nan}), point(3)])
    assert tracker.finish("FINISHED")
    values = [value for _, value in history(desk.uri, tracker.run_id, LOSS)]
    assert math.isnan(values[0])
    assert math.isnan(values[1])
    assert values[2] == 1.0


def test_two_trackers_in_one_process(desk: Desk) -> None:
    first, second = desk.tracker("first"), desk.tracker("second")
    first.start()
    second.start()
    first.log([point(1000)])
    second.log([point(2000)])
    first.log([point(3000)])
    assert first.finish("FINISHED")
    assert second.finish("FINISHED")
    assert history(desk.uri, first.run_id) == [(1000, 100.0), (3000, 300.0)]
    assert history(desk.uri, second.run_id) == [(2000, 200.0)]


def test_long_value_is_cut_and_still_logged(desk: Desk) -> None:
    tracker = desk.tracker(params={"text": "x" * 7000})
    assert tracker.finish("FINISHED")
    assert stored_run(desk.uri, tracker.run_id).data.params == {"text": "x" * 6000}


def test_parameters_join_keys_with_dots() -> None:
    nested = {"env": {"id": "Ant-v5", "options": {"a": None}}, "hidden": (256, 256), "empty": {}}
    assert to_params(nested) == {"env.id": "Ant-v5", "env.options.a": "None", "hidden": "(256, 256)"}


def test_relative_database_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    resolved = resolve_tracking_uri(DEFAULT_TRACKING_URI)
    assert resolved == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.chdir("/")
    assert resolve_tracking_uri(resolved) == resolved


@pytest.mark.parametrize(
    "uri", ["http://localhost:5000", "https://u:p@host/mlflow", "postgresql+psycopg2://u:p@host/db", "databricks"]
)
def test_other_stores_of_mlflow_are_left_alone(uri: str) -> None:
    assert resolve_tracking_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    ["localhost:5000", "postgres://host/db", "sqlite://mlflow.db", "sqlite:///:memory:", "mlruns", "file:///m", ""],
)
def test_unusable_uri_is_bad_input_and_writes_nothing(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as refusal:
        Desk(uri).tracker()
    assert repr(uri) in str(refusal.value)
    assert "sqlite:///mlflow.db" in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_refusal_does_not_show_a_password() -> None:
    with pytest.raises(BadInput) as refusal:
        resolve_tracking_uri("postgres://user:secret@host/db")
    assert "secret" not in str(refusal.value)


def test_folder_is_a_store_where_mlflow_is_told_to_allow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri("mlruns") == (tmp_path / "mlruns").as_uri()


def test_absent_server_is_reported_once_and_costs_little_time() -> None:
    desk = Desk(f"http://user:secret@127.0.0.1:{free_port()}")
    tracker = desk.tracker()
    started = time.monotonic()
    tracker.start()
    tracker.log([point(1000)])
    desk.clock.now = 31.0
    tracker.log([point(2000)])
    assert not tracker.finish("FINISHED")
    assert time.monotonic() - started < 10.0
    assert tracker.run_id is None
    assert len(desk.warnings) == 1
    assert "Connection refused" in desk.warnings[0]
    assert "secret" not in desk.warnings[0]


def test_store_that_fails_is_left_alone_for_30_s_and_then_gets_every_point(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SQLITE_WAIT_S", 0.1)
    tracker = desk.tracker()
    tracker.start()
    database = tmp_path / "a folder" / "mlflow.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        tracker.log([point(1000)])
        wait_until(lambda: desk.warnings)
        assert "database is locked" in desk.warnings[0]
        writer.execute("ROLLBACK")

    desk.clock.now = 29.0
    tracker.log([point(2000)])
    time.sleep(0.5)  # far longer than it would take
    assert history(desk.uri, tracker.run_id) == []
    desk.clock.now = 31.0
    tracker.log([point(3000)])
    wait_until(lambda: len(desk.warnings) == 2)
    assert history(desk.uri, tracker.run_id) == [(1000, 100.0), (2000, 200.0), (3000, 300.0)]
    assert "works again" in desk.warnings[1]
    assert tracker.finish("FINISHED")


def test_store_that_works_again_gets_every_point_though_nothing_new_is_logged(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SQLITE_WAIT_S", 0.1)
    monkeypatch.setattr(tracker_module, "RETRY_INTERVAL_S", 0.2)
    tracker = desk.tracker(clock=time.monotonic)
    tracker.start()
    with closing(sqlite3.connect(tmp_path / "a folder" / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        tracker.log([point(1000)])
        wait_until(lambda: desk.warnings)
        writer.execute("ROLLBACK")
    wait_until(lambda: len(desk.warnings) == 2)
    assert history(desk.uri, tracker.run_id) == [(1000, 100.0)]
    assert tracker.finish("FINISHED")


def test_file_that_is_no_database_is_reported_quickly(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("buy milk\n" * 1000)
    desk = Desk(f"sqlite:///{tmp_path}/notes.db")
    started = time.monotonic()
    assert not desk.tracker().finish("FINISHED")
    assert time.monotonic() - started < 10.0
    assert "file is not a database" in desk.warnings[0]
    assert (tmp_path / "notes.db").read_text().startswith("buy milk")


def test_missing_artifact_does_not_hold_back_points_or_status(desk: Desk, tmp_path: Path) -> None:
    tracker = desk.tracker()
    tracker.log_artifacts([tmp_path / "absent.png"])
    tracker.log([point(1000)])
    assert not tracker.finish("FAILED")
    assert history(desk.uri, tracker.run_id) == [(1000, 100.0)]
    assert stored_run(desk.uri, tracker.run_id).info.status == "FAILED"


BESIDE_OTHERS = """
import sys
from rlx2_ray.tracking.tracker import Tracker

tracker = Tracker(sys.argv[1], "hopper", sys.argv[2], "td3", {}, {"seed": 1}, warn=print)
tracker.start()
for step in range(1, 6):
    tracker.log([{"env_steps": step, "evaluation/return_mean": step}])
print(tracker.run_id, tracker.finish("FINISHED"))
"""


def test_killed_while_making_the_tables(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", BESIDE_OTHERS, uri, "key"], env=environment) as process:
        while not (tmp_path / "mlflow.db.new").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)
        process.kill()
    assert not (tmp_path / "mlflow.db").exists()

    desk = Desk(uri)
    assert desk.tracker().finish("FINISHED")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.lock"]


def test_processes_share_a_fresh_database(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    script = [sys.executable, "-W", "error", "-c", BESIDE_OTHERS, uri]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    keys = ["one", "two", "two"]
    processes = [subprocess.Popen([*script, key], env=environment, **pipes) for key in keys]
    outputs = [process.communicate(timeout=120) for process in processes]

    assert [errors for _, errors in outputs] == ["", "", ""]
    run_ids = [output.split()[0] for output, _ in outputs]
    assert [output.split()[1:] for output, _ in outputs] == [["True"]] * 3
    assert run_ids[0] != run_ids[1] == run_ids[2]
    assert history(uri, run_ids[0]) == [(step, step) for step in range(1, 6)]
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
