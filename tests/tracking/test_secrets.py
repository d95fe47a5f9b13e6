"""What of a tracking URI is secret is known in one place, and stands nowhere that people look."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rlx2_ray.experiment import session
from rlx2_ray.experiment.run import Run, Training
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.tracking.link import run_link
from rlx2_ray.tracking.uri import VARIABLE, hide_secret, redacted, resolve_tracking_uri
from rlx2_ray.types import BadInput
from tests.support.campaigns import finished_trials, sweep_arguments, sweep_tree
from tests.support.compressions import cache_variables, compress_arguments, compress_tree
from tests.support.runs import ROOT, command_line, family, rlx2, small_arguments, small_config, start_rlx2, wait_for
from tests.tracking.test_outage import Server, server

__all__ = ["server"]  # a fixture

SECRET = "hunter2-S3CR3T"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (f"http://me:{SECRET}@host:5000/x", "http://***@host:5000/x"),
        (f"https://{SECRET}@host", "https://***@host"),
        (f"http://me:p/{SECRET}@host", "http://***@host"),
        (f"https://host/?token={SECRET}&x=1", "https://host/?token=***&x=1"),
        (f"postgresql://me:{SECRET}@host/db", "postgresql://me:***@host/db"),
        (f"postgresql+psycopg2://me:p/@{SECRET}@host/db", "postgresql+psycopg2://me:***@host/db"),
        (f"postgresql://host/db?user=me&password={SECRET}&sslmode=require", "postgresql://host/db?user=me&password=***&sslmode=require"),
        (f"postgresql://host/db?sslpassword={SECRET}&passfile=/x", "postgresql://host/db?sslpassword=***&passfile=/x"),
        (f"mssql+pyodbc:///?odbc_connect=DSN%3Dx%3BPWD%3D{SECRET}", "mssql+pyodbc:///?odbc_connect=***"),
        (f"sqlite:////folder/me:you@work.db?password={SECRET}", "sqlite:////folder/me:you@work.db?password=***"),
        (f"url: /?access_token={SECRET} (refused)", "url: /?access_token=*** (refused)"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("http://host:5000/a@b is not me@there", "http://host:5000/a@b is not me@there"),
    ],
)  # fmt: skip
def test_what_is_secret(uri: str, shown: str) -> None:
    assert redacted(uri) == shown
    assert redacted(shown) == shown


def never(run: Run, resume: bool) -> Training:
    raise AssertionError
    yield


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment is as it was afterwards."""
    monkeypatch.setenv(VARIABLE, "")
    return monkeypatch


def test_the_environment_alone_has_the_secret(variable: pytest.MonkeyPatch) -> None:
    whole = f"postgresql://me:{SECRET}@host/db"
    shown = hide_secret(whole)
    assert shown == "postgresql://me:***@host/db"
    assert resolve_tracking_uri(shown) == whole
    for other in ("", f"postgresql://me:{SECRET}@host/another"):
        variable.setenv(VARIABLE, other)
        with pytest.raises(BadInput, match=rf"{VARIABLE} to the whole of it\.$") as refusal:
            resolve_tracking_uri(shown)
        assert SECRET not in str(refusal.value)
    with pytest.raises(BadInput) as refusal:
        resolve_tracking_uri(f"postgresql://me:a {SECRET}@host/db")
    assert SECRET not in str(refusal.value)


def test_secret_that_an_earlier_version_left_on_file_is_not_used(tmp_path: Path, variable: pytest.MonkeyPatch) -> None:
    """Or a directory of somebody else would say whom this process speaks to."""
    whole = f"http://me:{SECRET}@host"
    run = RunDirectory(tmp_path / "run")
    run.create(small_config(), Tracking(whole, "tests"))
    run.close()
    assert SECRET in (run.path / "run.json").read_text()
    origin = run.open()[1]
    assert origin.tracking_uri == "http://***@host"
    assert os.environ[VARIABLE] == ""
    with pytest.raises(BadInput, match=f"kept without its secret: set {VARIABLE}"):
        session.resume(run.path, never)
    variable.setenv(VARIABLE, whole)
    assert resolve_tracking_uri(origin.tracking_uri) == whole


def test_link_has_no_secret() -> None:
    assert run_link(f"http://me:{SECRET}@host/ml/?token={SECRET}", "1", "a") == "http://host/ml/#/experiments/1/runs/a"


def check_hidden(folder: Path, *texts: str) -> None:
    """No file below a folder has the secret, nor a text."""
    forms = [SECRET.encode(), SECRET.encode().hex().encode()]  # Tune has pickles in hexadecimal
    contents = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = [path for path, content in contents.items() if any(form in content for form in forms)]
    assert found == []
    assert [text for text in texts if SECRET in text] == []


def test_run_and_its_resume(tmp_path: Path) -> None:
    """A server that nobody answers at: the run says so, and what it says and leaves has no secret."""
    uri, out = f"http://me:{SECRET}@127.0.0.1:9", str(tmp_path / "run")
    process = start_rlx2("train", *small_arguments(steps=3_000), "--tracking-uri", uri, "--out", out, folder=tmp_path)
    wait_for(lambda: (tmp_path / "run" / "progress.jsonl").exists(), process)
    command = psutil.Process(process.pid).cmdline()
    process.terminate()
    output, error = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "http://***@127.0.0.1:9" in command
    assert "MLflow at http://***@127.0.0.1:9 cannot be used now" in error
    check_hidden(tmp_path, output, error, *command)

    without = rlx2("resume", out, folder=tmp_path)
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr.splitlines() == [
        f"rlx2: The tracking URI http://***@127.0.0.1:9 is kept without its secret: set {VARIABLE} to the whole of it."
    ]
    process = start_rlx2("resume", out, folder=tmp_path, **{VARIABLE: uri})
    output, error = process.communicate(timeout=200)
    assert process.returncode == 0
    check_hidden(tmp_path, output, error)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sweep", "compress"])
def test_campaign(kind: str, tmp_path: Path, server: Server) -> None:
    """With all that Ray writes, and the command lines of all of its processes."""
    server.start()
    uri = server.uri.replace("://", f"://me:{SECRET}@")
    directory = tmp_path / "campaign"
    arguments = (
        sweep_arguments(directory, sweep_tree({"seed": {"grid": [0, 1]}}), uri)
        if kind == "sweep"
        else [*compress_arguments(directory, compress_tree()), "--tracking-uri", uri]
    )
    with tempfile.TemporaryDirectory(prefix="r") as of_ray:
        variables = {**cache_variables(tmp_path), "TMPDIR": of_ray}
        process = start_rlx2(*arguments, "--json", folder=tmp_path, **variables)
        lines: list[str] = []
        while process.poll() is None:
            lines += [command_line(each) for each in family(process)]
            with suppress(FileNotFoundError):  # at the end Ray's files go
                check_hidden(Path(of_ray))
                lines += [str(path) for path in Path(of_ray).rglob("*.log")]
            time.sleep(0.5)
        output, error = process.communicate()
        assert process.returncode == 0, error
        assert any("ray::" in line for line in lines)
        assert any(line.endswith("gcs_server.log") or "session_" in line for line in lines)
    check_hidden(tmp_path, output, error, *lines[1:])  # the first may be from before it hid it
    assert finished_trials(directory)
    again = rlx2("resume", str(directory), folder=tmp_path)
    assert again.returncode == 0  # nothing is left to do, so that no secret is needed


def test_environment_of_a_cluster_is_its_owner_s_alone(tmp_path: Path) -> None:
    """`cluster/prepare.sh` with a pip that only pretends, since building takes a network."""
    for name in ("cluster", "rlx2_ray"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "python").write_text(f"#!/bin/sh\ntouch {tmp_path}/cluster/node/rlx2_ray-0-py3-none-any.whl\n")
    (tools / "ray").write_text("#!/bin/sh\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").touch()
    node = tmp_path / "cluster" / "node" / "environment.sh"
    node.write_text("of an earlier version, which all could read")
    uri = f"http://me:{SECRET}@host:5000/?token={SECRET}"
    variables = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [tmp_path / "cluster" / "prepare.sh"],
        env=variables | {"RLX2_STORAGE": "/mnt", VARIABLE: uri},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert SECRET not in done.stdout
    assert stat.S_IMODE(node.stat().st_mode) == 0o600
    assert SECRET in node.read_text()
