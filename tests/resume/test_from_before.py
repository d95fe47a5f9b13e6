"""Directories that an earlier commit was interrupted in go on with the code of now, as that commit itself went on.

make_data.py says which commit it was, and made both the directories and what is expected of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.resume.make_data import DATA, FILES, TRACKING_URI, processor, read_points, run_directories

ROOT = Path(__file__).parents[2]
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
IS_SAME_PROCESSOR = EXPECTED["processor"] == processor()  # else only what was there before can be the same


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of MLflow; there is none yet, as where the old one is lost."""
    return tmp_path_factory.mktemp("tracking") / "mlflow.db"


def unpack(name: str, folder: Path, database: Path) -> Path:
    """An interrupted directory, somewhere else than it was, and tracked in `database`."""
    with tarfile.open(DATA / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    for file in [*folder.rglob("run.json"), *folder.rglob("record.json")]:
        file.write_text(file.read_text().replace(TRACKING_URI, f"sqlite:///{database}"))
    return folder / name


def resume(directory: Path, database: Path) -> dict[str, Any]:
    """To the end, tracked in `database`, which nobody has used before.

    Dense runs that were measured elsewhere are not known, compiled kernels are.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    own.setdefault("NUMBA_CACHE_DIR", str(caches / "rlx2_ray" / "kernels"))
    uri = f"sqlite:///{database}"
    process = subprocess.run(
        [sys.executable, "-m", "rlx2_ray", "resume", str(directory), "--tracking-uri", uri, "--json"],
        cwd=directory.parent,
        env=own | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", "XDG_CACHE_HOME": str(directory.parent / "cache")},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    for word in ("Traceback", "damaged", "did not repeat"):
        assert word not in process.stderr
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


def read_json(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def kept_points(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Of every run, those up to its newest checkpoint: none of them may change."""
    kept = {}
    for name, run in run_directories(directory).items():
        newest = max(int(path.name.removeprefix("step_")) for path in (run / "checkpoints").iterdir())
        kept[name] = [point for point in read_points(run) if point["env_steps"] <= newest]
    return kept


def finished_runs(directory: Path) -> dict[str, int]:
    """When the policies of the finished ones were written, by name; their results MLflow gets to know anew."""
    files = {name: run / "policy.safetensors" for name, run in run_directories(directory).items()}
    return {name: file.stat().st_mtime_ns for name, file in files.items() if file.exists()}


def check_beginning(directory: Path, kept: dict[str, list[dict[str, Any]]]) -> None:
    assert sum(map(len, kept.values())) >= 2
    after = {name: read_points(run) for name, run in run_directories(directory).items()}
    assert {name: after[name][: len(points)] for name, points in kept.items()} == kept
    for name, points in after.items():
        steps = [point["env_steps"] for point in points]
        assert steps == sorted(set(steps)), name
        assert len(steps) > len(kept.get(name, [])) or name in finished_runs(directory), name


def check_as_expected(directory: Path, result: dict[str, Any]) -> None:
    """The same policies, points and result as with the commit that the directory is of.

    A compression's search decides by another rule since, so that it goes on with other runs: what is the same is the
    dense arm, and every run that both did.
    """
    expected, runs = EXPECTED[directory.name], run_directories(directory)
    same = {"dense"} if directory.name == "compression" else expected["result"].keys()
    known = {key: expected["result"][key] for key in same}
    assert known_then(result, known) == known
    both = runs.keys() & expected["policies"].keys()
    assert both == expected["policies"].keys() or directory.name == "compression"
    assert len(both) >= len(expected["policies"]) / 2
    digests = {name: read_json(runs[name] / "result.json")["policy_digest"] for name in both}
    assert digests == {name: expected["policies"][name] for name in both}
    for name in both & expected["points"].keys():
        assert essence(read_points(runs[name]), expected["points"][name]) == expected["points"][name]


def known_then(value: Any, expected: Any) -> Any:
    """What is expected of it, without keys that have come since."""
    if isinstance(expected, dict):
        return {key: known_then(value[key], each) for key, each in expected.items()}
    if isinstance(expected, list):
        return [known_then(each, then) for each, then in zip(value, expected, strict=True)]
    return value


def essence(points: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is expected of them, and whatever is too much."""
    return [{name: point.get(name) for name in each} for point, each in zip(points, expected, strict=True)]


def test_inline_run(tmp_path: Path, database: Path) -> None:
    directory = unpack("inline", tmp_path, database)
    kept = kept_points(directory)
    result = resume(directory, database)
    check_beginning(directory, kept)
    assert result["env_steps"] == FILES["inline"][1]["steps"]
    if IS_SAME_PROCESSOR:
        check_as_expected(directory, result)


@pytest.mark.slow
def test_run_on_actors(tmp_path: Path, database: Path) -> None:
    """Which is not deterministic."""
    directory = unpack("actors", tmp_path, database)
    kept = kept_points(directory)
    result = resume(directory, database)
    check_beginning(directory, kept)
    assert result["env_steps"] == FILES["actors"][1]["steps"]
    assert [point["env_steps"] for point in read_points(directory)] == [*range(200, 2001, 200)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sweep", "compression"])
def test_trials(name: str, tmp_path: Path, database: Path) -> None:
    """Whatever Tune had written, which nobody reads, is damaged."""
    directory = unpack(name, tmp_path, database)
    pickled = [path for path in (directory / "tune").rglob("*") if path.is_file()]
    assert pickled
    for path in pickled:
        path.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    kept, finished = kept_points(directory), finished_runs(directory)
    result = resume(directory, database)
    check_beginning(directory, kept)
    after = finished_runs(directory)
    assert {name: after[name] for name in finished} == finished, "they are not run again"
    assert after.keys() == run_directories(directory).keys()
    assert read_json(directory / "record.json")["state"] == "finished"
    if IS_SAME_PROCESSOR:
        check_as_expected(directory, result)
