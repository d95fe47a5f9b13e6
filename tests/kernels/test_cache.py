"""Where compiled code is kept, and that it is compiled once however many processes want it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from rlx2_ray.kernels import cache
from tests.support.runs import ROOT, rlx2, small_arguments

ANNOUNCED = "Compiling the kernels of"

# A process that compiles one little function, slowly enough for others to come in between.
PROGRAM = """
import time
import numpy as np
from pathlib import Path
import rlx2_ray.kernels
from rlx2_ray.kernels.cache import compile_once
from rlx2_ray.kernels.denormals import flush_denormals

def run():
    with Path("runs").open("a") as file:
        file.write("run\\n")
    time.sleep(0.5)
    flush_denormals()

compile_once("TEST", run)
flush_denormals()
print(np.float32(1e-30) * np.float32(1e-10), sum(flush_denormals.stats.cache_hits.values()))
"""


def start(folder: Path, program: str = PROGRAM) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_four_processes_one_compiles(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(4)]
    outputs, errors = zip(*(process.communicate() for process in processes), strict=True)
    assert [process.returncode for process in processes] == [0] * 4
    assert (tmp_path / "runs").read_text() == "run\n"
    assert sum(ANNOUNCED in text for text in errors) == 1
    assert sorted(outputs) == ["0.0 0\n"] + ["0.0 1\n"] * 3  # the others read what the first has written
    assert [text for text in errors if ANNOUNCED not in text] == [""] * 3
    assert start(tmp_path).communicate() == ("0.0 1\n", "")


def code_files(folder: Path) -> list[Path]:
    return sorted(path for ending in ("nbi", "nbc") for path in folder.rglob(f"*.{ending}"))


def flip(content: bytes) -> bytes:
    return content[:200] + bytes([content[200] ^ 1]) + content[201:]


def test_a_damaged_file_is_compiled_again_and_that_is_said(tmp_path: Path) -> None:
    start(tmp_path).communicate()
    code, index = sorted(code_files(tmp_path), key=lambda path: path.suffix)
    damages: list[tuple[Path, Callable[[bytes], bytes]]] = [
        (index, lambda content: b""), (index, flip), (code, lambda content: content[: len(content) // 2]), (code, flip),
    ]  # fmt: skip
    for path, damage in damages:  # each mended by the process before
        path.write_bytes(damage(path.read_bytes()))
        process = start(tmp_path)
        output, error = process.communicate()
        assert (process.returncode, output) == (0, "0.0 0\n")
        assert re.fullmatch(rf"Kernels in {tmp_path}/cache/\w+ are damaged: they are compiled again\.\n", error)
    assert start(tmp_path).communicate() == ("0.0 1\n", "")


def test_a_removed_file_is_compiled_again(tmp_path: Path) -> None:
    start(tmp_path).communicate()
    for path in code_files(tmp_path):
        path.unlink()
        assert start(tmp_path).communicate() == ("0.0 0\n", "")


@pytest.mark.parametrize("full", ["no byte can be written", "no folder can be made"])
def test_without_room_it_compiles_in_memory_and_says_so(tmp_path: Path, full: str) -> None:
    program = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n{PROGRAM}"
    if full == "no folder can be made":
        program = f"import os, errno\ndef full(*a, **k): raise OSError(errno.ENOSPC, 'No space left')\n{PROGRAM}"
        program = program.replace("import rlx2_ray.kernels\n", "os.mkdir = full\nimport rlx2_ray.kernels\n")
    process = start(tmp_path, program.replace('file.write("run\\n")', "pass"))
    output, error = process.communicate()
    assert (process.returncode, output) == (0, "0.0 0\n")
    kept = [line for line in error.splitlines() if not line.startswith("Compiling")]
    assert len(kept) == 1
    assert kept[0].startswith("Compiled kernels cannot be kept in ")
    assert kept[0].endswith("Make room, or set NUMBA_CACHE_DIR to another folder.")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory of this process from now on, which does not exist yet."""
    path = tmp_path / "cache"
    monkeypatch.setattr(cache, "cache_directory", lambda: path)
    return path


def test_it_says_what_it_does_and_where(directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cache.compile_once("TD3", lambda: None)
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("Compiling the kernels of TD3 for this machine, which is done once ...\n... took 0.")
    assert str(directory) in said.err


def test_each_name_is_compiled_once(directory: Path) -> None:
    runs: list[str] = []
    for name in ("TD3", "SAC", "TD3"):
        cache.compile_once(name, lambda name=name: runs.append(name))
    assert runs == ["TD3", "SAC"]


def test_another_kind_of_processor_compiles_for_itself(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    cache.compile_once("TD3", lambda: runs.append("this"))
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "another")
    cache.compile_once("TD3", lambda: runs.append("another"))
    assert runs == ["this", "another"]


def test_what_failed_is_tried_again(directory: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.compile_once("TD3", lambda: 1 // 0)
    runs: list[str] = []
    cache.compile_once("TD3", lambda: runs.append("again"))
    assert runs == ["again"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of a few sources in place of this one."""
    root = tmp_path / "package"
    for name in ("kernels/network.py", "agents/sparse/td3/update.py", "networks/policy.py", "types.py", "cli/main.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1\n")
    monkeypatch.setattr(cache, "PACKAGE", root)
    return root


@pytest.mark.parametrize(
    "source", ["kernels/network.py", "agents/sparse/td3/update.py", "networks/policy.py", "types.py"]
)
def test_a_changed_source_has_another_directory(package: Path, source: str) -> None:
    before = find_directory()
    assert find_directory() == before
    (package / source).write_text("2\n")
    assert find_directory() != before


def test_sources_without_compiled_code_do_not_matter(package: Path) -> None:
    before = find_directory()
    (package / "cli/main.py").write_text("2\n")
    (package / "kernels/network.pyc").write_text("2\n")
    assert find_directory() == before


@pytest.mark.parametrize("library", ["numba", "llvmlite", "numpy"])
def test_another_version_of_a_library_has_another_directory(
    package: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    before = find_directory()
    monkeypatch.setattr(cache, "version", lambda name: "0.0" if name == library else version(name))
    assert find_directory() != before


def find_directory() -> Path:
    """Found anew."""
    return cache.cache_directory.__wrapped__()


def test_the_directory_lies_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert find_directory().parent == tmp_path / "chosen"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert find_directory().parent == tmp_path / "home/rlx2_ray/kernels"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_directory().parent == tmp_path / ".cache/rlx2_ray/kernels"


def test_without_a_home_to_write_to_it_lies_with_temporary_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()  # below which nobody can write, not even root
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert find_directory().is_relative_to(tmp_path / "temporary")


@pytest.mark.slow
def test_the_first_run_on_a_machine_compiles_and_the_second_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    first, second = (
        rlx2("train", "--out", name, "--tracking-uri", uri, "--seed", "0", *small_arguments(), folder=tmp_path)
        for name in ("first", "second")
    )
    assert (first.returncode, second.returncode) == (0, 0)
    assert f"{ANNOUNCED} TD3" in first.stderr
    assert ANNOUNCED not in second.stderr
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("first", "second")]
    assert results[0]["policy_digest"] == results[1]["policy_digest"]
