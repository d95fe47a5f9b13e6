"""A directory of somebody else says where it is tracked: nobody is spoken to whom the person has not named."""

from __future__ import annotations

import http.server
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.config import yaml_text
from rlx2_ray.runs import sealed
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory
from rlx2_ray.tracking import consent
from rlx2_ray.tracking.uri import VARIABLE
from tests.support import runs
from tests.support.alterations import state_of
from tests.support.sweeps import sweep, write_directory

KEY = "some-key"


@pytest.fixture(autouse=True)
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is known of any store; returns the file of those that are."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    forget(monkeypatch)
    return tmp_path / "state" / "rlx2_ray" / "stores"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(consent, "_agreed", set())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained") / "run"
    runs.train(directory, steps=300)
    return directory


def received(trained: Path, folder: Path, uri: str, has_ended: bool = False) -> Path:
    """The run, with another store in its file."""
    directory = folder / "received" / "run"
    shutil.copytree(trained, directory)
    if has_ended:
        (directory / "undelivered").write_text("FINISHED 3\n")
    else:
        (directory / "result.json").unlink()
    origin = sealed.parse((directory / "run.json").read_bytes())
    (directory / "run.json").write_text(sealed.to_text(origin | {"tracking_uri": uri}))
    return directory


class Listener(NamedTuple):
    uri: str
    heard: list[str]  # requests


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Somebody's server, and a person who has a token."""
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers}")
            self.send_error(500)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Listener(f"http://127.0.0.1:{server.server_port}", heard)
    server.shutdown()
    server.server_close()


def refusal(directory: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = state_of(directory)
    capsys.readouterr()
    assert run(["resume", str(directory)]) == 2
    after = state_of(directory)
    for state in (before, after):
        state.pop("run.lock", None)
        state.pop(".")
    assert after == before
    return capsys.readouterr().err


def said_of(directory: Path, uri: str) -> str:
    return (
        f"rlx2: {directory} says that it is tracked at {uri}, where no run of yours on this machine was: give that as "
        f"--tracking-uri or {VARIABLE} if it is yours, or a store of your own as --tracking-uri.\n"
    )


@pytest.mark.parametrize("has_ended", [False, True])
def test_nobody_unknown_is_spoken_to(
    has_ended: bool, trained: Path, tmp_path: Path, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = received(trained, tmp_path, listener.uri, has_ended)
    assert refusal(directory, capsys) == said_of(directory, listener.uri)
    assert listener.heard == []
    for command in ("report", "evaluate"):
        assert run([command, str(directory)]) == 0
    assert run(["archive", str(directory), "--into", str(tmp_path / "archive")]) == 0
    assert listener.heard == []


def test_nor_for_a_sweep(tmp_path: Path, listener: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    record, trials = sweep()
    record |= {"tracking": {"uri": listener.uri, "experiment": "x", "run_id": "a" * 32}, "key": "sweep-1"}
    record |= {"state": "interrupted", "config": {**record["config"], "param_space": {"seed": {"grid": [0]}}}}
    directory = write_directory(tmp_path / "sweep", record, trials[:1])
    (directory / "sweep.yaml").write_text(yaml_text.write(record["config"]))
    assert refusal(directory, capsys) == said_of(directory, listener.uri)
    assert listener.heard == []


def test_the_environment_and_the_option_are_the_person_s_word(
    trained: Path, tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, stores: Path
) -> None:
    directory = received(trained, tmp_path, listener.uri, has_ended=True)
    monkeypatch.setenv(VARIABLE, listener.uri)
    assert run(["resume", str(directory)]) == 0
    assert any("hunter2" in each for each in listener.heard)
    assert stores.read_text().splitlines() == [listener.uri]
    assert stat.S_IMODE(stores.stat().st_mode) == 0o600

    own = runs.database_uri(tmp_path)
    monkeypatch.setenv(VARIABLE, "")
    forget(monkeypatch)
    listener.heard.clear()
    assert run(["resume", str(directory), "--tracking-uri", own]) == 0
    assert listener.heard == []
    assert RunDirectory(directory).open()[1].tracking_uri == own
    assert RunDirectory(directory).waiting() is None
    assert stores.read_text().splitlines() == [listener.uri, own]


def test_runs_of_one_s_own_go_on_without_a_word(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In another process and from another folder, and those of an earlier version too."""
    directory = tmp_path / "own" / "run"
    directory.parent.mkdir()
    runs.train(directory, steps=300)
    (directory / "result.json").unlink()
    forget(monkeypatch)
    assert runs.resume(directory)["env_steps"] == 300

    shutil.rmtree(tmp_path / "state")  # an earlier version wrote no such file
    forget(monkeypatch)
    (directory / "result.json").unlink()
    assert runs.resume(directory)["env_steps"] == 300


def store(file: Path, place: str) -> str:
    """A database of another MLflow, which has a run of that key, with its artifacts in that place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT)")
        connection.execute("CREATE TABLE tags (run_uuid TEXT, key TEXT, value TEXT)")
        connection.execute("INSERT INTO runs VALUES ('1', ?)", (place,))
        connection.execute("INSERT INTO tags VALUES ('1', 'rlx2.trial_key', ?)", (KEY,))
    return f"sqlite:///{file}"


def test_which_databases_are_harmless(tmp_path: Path) -> None:
    run_directory, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    good = store(elsewhere / "good.db", (elsewhere / "mlartifacts" / "1").as_uri())
    assert consent.is_own(good, KEY, run_directory)
    assert consent.is_own(f"sqlite:///{run_directory}/new.db", KEY, run_directory)
    refused = [
        store(elsewhere / "a.db", "file:///home/me/.config"),
        store(elsewhere / "b.db", f"{(elsewhere / 'mlartifacts').as_uri()}/../../.config"),
        store(elsewhere / "c.db", "s3://bucket/mlartifacts"),
        f"sqlite:///{elsewhere}/new.db",
        f"sqlite:///{run_directory}/../elsewhere/new.db",
        f"sqlite:///{tmp_path}/nothing?mode=rw",
        "postgresql://host/db",
        "databricks",
    ]
    (elsewhere / "d.db").write_bytes(b"no database")
    refused.append(f"sqlite:///{elsewhere}/d.db")
    before = state_of(elsewhere)
    for uri in refused:
        assert not consent.is_own(uri, KEY, run_directory), uri
    assert not consent.is_own(store(elsewhere / "e.db", "x").replace("e.db", "good.db") + "?x=1", KEY, run_directory)
    after = state_of(elsewhere)
    assert {name: each for name, each in after.items() if name in before and name != "."} == {
        name: each for name, each in before.items() if name != "."
    }


def test_database_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "LONGEST_S", 0.2)
    with closing(sqlite3.connect(tmp_path / "slow.db")) as connection, connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT)")
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        connection.execute(f"CREATE VIEW tags AS {endless} SELECT i AS run_uuid, i AS key, i AS value FROM n")
    assert not consent.is_own(f"sqlite:///{tmp_path}/slow.db", KEY, tmp_path / "run")


def test_without_a_home_to_write_to_the_process_alone_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    consent.remember("http://host:1")
    assert consent.is_own("http://host:1", KEY, tmp_path)
    forget(monkeypatch)
    assert not consent.is_own("http://host:1", KEY, tmp_path)


def test_what_is_remembered_has_no_secret(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://me:hunter2@host")
    consent.remember("http://***@host")
    assert stores.read_text() == "http://***@host\n"


def test_link_in_place_of_the_file_is_not_followed(stores: Path, tmp_path: Path) -> None:
    stores.parent.mkdir(parents=True)
    stores.symlink_to(tmp_path / "precious")
    consent.remember("http://host:1")
    assert not (tmp_path / "precious").exists()


def test_sweep_moves_to_the_store_that_is_named(tmp_path: Path, listener: Listener) -> None:
    record, trials = sweep()
    record |= {"tracking": {"uri": listener.uri, "experiment": "x", "run_id": "a" * 32}, "key": "sweep-1"}
    directory = SweepDirectory(write_directory(tmp_path / "sweep", record, trials[:1]))
    from rlx2_ray.sweep.delivery import begin_anew
    from rlx2_ray.sweep.sitting import _track_at

    own = runs.database_uri(tmp_path)
    moved = _track_at(own, directory._read_record())
    assert moved.tracking is not None
    assert (moved.tracking.uri, moved.tracking.run_id) == (own, "")
    begin_anew(directory.trials, own, "parent")
    (trial,) = directory.trials.iterdir()
    origin = RunDirectory(trial).open()[1]
    assert (origin.tracking_uri, origin.parent_run_id) == (own, "parent")
    assert (trial / "undelivered").exists()
