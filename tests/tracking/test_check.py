"""Stores that a sweep could not use, each refused in one sentence before it starts; and the pages of runs."""

from __future__ import annotations

import http.server
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from rlx2_ray.tracking import check, store
from rlx2_ray.tracking.check import check_store
from rlx2_ray.tracking.link import run_link
from rlx2_ray.types import BadInput
from tests.support.runs import database_uri
from tests.tracking.test_outage import silent_server
from tests.tracking.test_tracker import free_port

NOBODY = 65534


def refusal(uri: str) -> str:
    """The sentence; it comes in a few seconds."""
    started = time.monotonic()
    with pytest.raises(BadInput) as refused:
        check_store(uri)
    assert time.monotonic() - started < 8
    text = str(refused.value)
    assert repr(uri) in text
    assert "\n" not in text
    assert text.endswith(".")
    return text


def change(uri: str, statement: str) -> None:
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users may enter, as no folder of pytest's."""
    path = Path(tempfile.mkdtemp(prefix="rlx2-tests-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may write whatever is forbidden."""
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def test_usable_database_is_left_as_it_is(tmp_path: Path) -> None:
    uri = database_uri(tmp_path)
    before = (tmp_path / "mlflow.db").read_bytes()
    check_store(uri)
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_absent_database_is_fine_and_stays_absent(tmp_path: Path) -> None:
    check_store(f"sqlite:///{tmp_path}/new/folder/mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_empty_file_will_become_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    check_store(f"sqlite:///{tmp_path}/mlflow.db")


def test_database_of_a_newer_mlflow(tmp_path: Path) -> None:
    uri = database_uri(tmp_path)
    change(uri, "UPDATE alembic_version SET version_num = '0123456789ab'")
    text = refusal(uri)
    assert "an MLflow newer than 3." in text
    assert "install that one" in text


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE alembic_version SET version_num = '451aebb31d03'", id="a revision of MLflow 1"),
        pytest.param("DELETE FROM alembic_version", id="none"),
    ],
)
def test_database_of_an_older_mlflow(statement: str, tmp_path: Path) -> None:
    uri = database_uri(tmp_path)
    change(uri, statement)
    assert f"'mlflow db upgrade {uri}'" in refusal(uri)


def test_database_of_another_program(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/studies.db"
    change(uri, "CREATE TABLE alembic_version (version_num TEXT)")
    change(uri, "CREATE TABLE studies (name TEXT)")
    assert "of another program" in refusal(uri)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("buy milk\n" * 1000)
    assert "file is not a database" in refusal(f"sqlite:///{tmp_path}/notes.db")


def test_folder_in_place_of_the_database(tmp_path: Path) -> None:
    assert "unable to open database file" in refusal(f"sqlite:///{tmp_path}")


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = refusal(f"sqlite:///{tmp_path}/file/mlflow.db")
    assert f"nothing can be written in {tmp_path}/file: Not a directory" in text


def test_folder_that_cannot_be_made() -> None:
    assert "nothing can be written in /proc" in refusal("sqlite:////proc/mlflow/mlflow.db")


@pytest.mark.parametrize("name", ["mlflow.db", "absent.db"])
def test_folder_without_permission_to_write(name: str, folder: Path) -> None:
    database_uri(folder)
    folder.chmod(0o555)
    with without_privileges():
        text = refusal(f"sqlite:///{folder}/{name}")
    folder.chmod(0o755)
    assert f"nothing can be written in {folder}: Permission denied" in text


def test_database_without_permission_to_write(folder: Path) -> None:
    uri = database_uri(folder)
    (folder / "mlflow.db").chmod(0o444)
    folder.chmod(0o777)
    with without_privileges():
        text = refusal(uri)
    assert f"{folder}/mlflow.db cannot be written: Permission denied" in text


def test_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "SQLITE_WAIT_S", 0.1)
    uri = database_uri(tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert "end the program that holds it" in refusal(uri)
    check_store(uri)


def test_absent_server() -> None:
    assert "Connection refused" in refusal(f"http://127.0.0.1:{free_port()}")


def test_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ANSWER_WAIT_S", 0.5)
    with silent_server() as uri:
        assert "timed out" in refusal(uri)


def test_unknown_host() -> None:
    assert "cannot be used" in refusal("http://host.invalid:5000")


def test_database_server_that_is_not_there() -> None:
    uri = f"postgresql://127.0.0.1:{free_port()}/mlflow"
    assert "Connection refused" in refusal(uri)


@contextmanager
def web_server(status: int) -> Iterator[str]:
    """Answers every request with `status` and a web page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>\n")

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, "does not answer as an MLflow server, but with 200"),
        (404, "does not answer as an MLflow server, but with 404"),
        (503, "does not answer as an MLflow server, but with 503"),
        (401, "set MLFLOW_TRACKING_USERNAME"),
    ],
)
def test_server_of_something_else_or_for_someone_else(status: int, reason: str) -> None:
    with web_server(status) as uri:
        assert reason in refusal(uri)


def test_refusal_does_not_show_a_password() -> None:
    with pytest.raises(BadInput) as refused:
        check_store(f"http://user:secret@127.0.0.1:{free_port()}")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/#/experiments/7/runs/0a1b"),
        ("https://user:secret@host/mlflow/", "https://host/mlflow/#/experiments/7/runs/0a1b"),
        ("sqlite:////home/user/mlflow.db", None),
        ("databricks", None),
    ],
)
def test_page_of_a_run(uri: str, link: str | None) -> None:
    assert run_link(uri, "7", "0a1b") == link
