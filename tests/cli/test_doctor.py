"""`rlx2 doctor` and `rlx2 --version`: what is there, and a remedy for what stands in the way."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import threadpoolctl

from rlx2_ray import __version__
from rlx2_ray.cli import doctor
from rlx2_ray.cli.main import run

FACTS = ["rlx2_ray", "Python", "cores", "processor", "BLAS", "GPU", "memory", "disk", "kernel cache", "C compiler",
         "Ray", "shared memory", "MLflow store"]  # fmt: skip


def test_every_fact_is_told_and_nothing_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == FACTS
    assert "which the first run makes" in told["MLflow store"]["found"]
    assert "vectors of" in told["processor"]["found"]
    assert list(tmp_path.iterdir()) == []


def test_table_ends_with_the_remedies(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setenv("RLX2_STORAGE", str(tmp_path / "away"))
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"storage: {tmp_path}/away, which is not there. RLX2_STORAGE names it: make it." in lines


def pools(kernels: str) -> Callable[[], list[dict[str, Any]]]:
    pool = {"filepath": "/x/scipy.libs/o.so", "internal_api": "openblas", "version": "1", "architecture": kernels}
    return lambda: [pool]


@pytest.mark.parametrize(
    ("kernels", "bits", "words"),
    [
        ("Prescott", 512, "export OPENBLAS_CORETYPE=SkylakeX."),
        ("Nehalem", 256, "export OPENBLAS_CORETYPE=Haswell."),
        ("Prescott", 128, ""),
        ("SkylakeX", 512, ""),
        ("Zen", 256, ""),
    ],
)
def test_blas_that_does_not_know_the_processor(
    kernels: str, bits: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threadpoolctl, "threadpool_info", pools(kernels))
    finding = doctor._blas(bits)
    assert finding.found.endswith(f"kernels for {kernels}")
    assert finding.remedy.endswith(words)
    assert bool(finding.remedy) == bool(words)


def test_machine_that_is_busy_or_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=1e6))
    told = {finding.what: finding for check in (doctor._cores, doctor._disk, doctor._ray) for finding in check()}
    assert told["cores"].remedy.startswith("Other work asks for 1000 cores")
    assert told["disk"].remedy.endswith("make room.")
    assert "--shm-size" in told["shared memory"].remedy


def test_store_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")
    (finding,) = doctor._store(f"sqlite:///{tmp_path}/mlflow.db")
    assert finding.remedy


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"rlx2_ray {__version__} (Python 3.11")
