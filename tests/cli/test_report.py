"""`rlx2 report` and `rlx2 dashboard`: what they print, write, and refuse in one sentence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from rlx2_ray.cli.main import run
from tests.support.archives import made_runs, write_archive
from tests.support.commands import refused, succeeded
from tests.support.runs import ended, environment, start_rlx2
from tests.support.sweeps import EXPERIMENT, compression, sweep, write_directory, write_store


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_directory(tmp_path_factory.mktemp("report") / "search", *compression())


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_store(tmp_path_factory.mktemp("store"), *sweep())


def test_report_of_a_directory_is_written_into_it(capsys: pytest.CaptureFixture[str], directory: Path) -> None:
    content = succeeded(capsys, "report", directory)
    path = directory / "report.html"
    assert content == {
        "path": str(path),
        "format": "html",
        "bytes": path.stat().st_size,
        "kind": "compress",
        "name": "Hopper-v5-td3",
        "state": "finished",
        "runs": 27,
        "headline": content["headline"],
    }
    assert "is 25 times smaller than dense (policy 98 %, critics 95 % sparse)" in content["headline"]
    assert "with probability over .99, by 8 seeds against 8 dense ones." in content["headline"]
    assert path.read_text().startswith("<!DOCTYPE html>")


def test_report_of_an_experiment_is_written_here(
    capsys: pytest.CaptureFixture[str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = succeeded(capsys, "report", EXPERIMENT, "--tracking-uri", uri, "--format", "markdown")
    assert (content["path"], content["kind"], content["runs"]) == (f"{EXPERIMENT}.md", "sweep", 12)
    assert [path.name for path in tmp_path.iterdir()] == [f"{EXPERIMENT}.md"]


def test_verdict_and_path_are_printed(capsys: pytest.CaptureFixture[str], directory: Path, tmp_path: Path) -> None:
    assert run(["report", str(directory), "--out", str(tmp_path / "a.html")]) == 0
    output, _ = capsys.readouterr()
    verdict, path = output.splitlines()
    assert verdict.startswith("Hopper-v5 with TD3: the smallest network found to keep the return is 25 times smaller")
    assert path == str(tmp_path / "a.html")


def test_run_directory_has_a_report(capsys: pytest.CaptureFixture[str], directory: Path, tmp_path: Path) -> None:
    trial = directory / "trials" / "p0.9800-c0.9500-s1"
    content = succeeded(capsys, "report", trial, "--out", tmp_path / "run.html")
    assert (content["kind"], content["runs"], content["state"]) == ("runs", 1, "finished")
    assert content["headline"].startswith("Hopper-v5 with TD3: score ")


def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str], directory: Path, uri: str, tmp_path: Path
) -> None:
    absent = f"sqlite:///{tmp_path / 'absent.db'}"
    assert "--format is 'pdf'" in refused(capsys, "report", directory, "--format", "pdf")
    assert "holds neither record.json nor a run" in refused(capsys, "report", tmp_path)
    assert "no experiment 'nope': choose from" in refused(capsys, "report", "nope", "--tracking-uri", uri)
    assert "nope is no directory" in refused(capsys, "report", "nope", "--tracking-uri", absent)
    assert "cannot be written" in refused(capsys, "report", directory, "--out", tmp_path / "no" / "a.html")
    assert "There is no tracking store" in refused(capsys, "dashboard", "--tracking-uri", absent)
    assert "no experiment 'nope'" in refused(
        capsys, "dashboard", "--tracking-uri", uri, "--experiment", "nope", "--port", 0
    )
    assert list(tmp_path.iterdir()) == []


def test_port_in_use_is_one_sentence(capsys: pytest.CaptureFixture[str], uri: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(capsys, "dashboard", "--tracking-uri", uri, "--port", port)
    assert said == (
        f"rlx2: --port is {port}, which cannot be served on 127.0.0.1 (Address already in use): "
        "stop what uses it, or give another --port.\n"
    )


def test_dashboard_serves_on_loopback_until_ctrl_c(uri: str, tmp_path: Path) -> None:
    with ended(start_rlx2("dashboard", "--tracking-uri", uri, "--port", "0", folder=tmp_path)) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address + "/_dash-layout") as answer:
            assert answer.status == 200
        os.kill(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "module",
    [
        "rlx2_ray.report.record.store",
        "rlx2_ray.report.page.page",
        "rlx2_ray.report.page.tables",
        "rlx2_ray.report.archive.report",
    ],
)
def test_reading_needs_neither_ray_nor_torch_nor_plotly(module: str) -> None:
    heavy = "{'ray', 'torch', 'mlflow', 'plotly', 'dash', 'numba'}"
    code = f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.strip() == "[]"


def test_report_of_an_archive_is_written_into_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = write_archive(tmp_path / "archive", made_runs(["dense", "set"]))
    content = succeeded(capsys, "report", folder)
    assert (content["path"], content["kind"], content["runs"]) == (str(folder / "report.html"), "archive", 8)
    assert [task["env_id"] for task in content["tasks"]] == ["Hopper-v5"]
    content = succeeded(capsys, "report", folder, "--format", "markdown", "--out", tmp_path / "a.md")
    assert (tmp_path / "a.md").read_text().startswith("# Archive: archive\n\n**Hopper-v5, TD3, 200,000 env steps: ")
    (folder / "report.html").unlink()
    (folder / "broken.parquet").write_bytes(b"PAR1")
    assert "broken.parquet is no Parquet file, or damaged" in refused(capsys, "report", folder)
    assert not (folder / "report.html").exists()
