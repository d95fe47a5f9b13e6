"""What commands load: a heavy library that one does not need costs its user seconds and memory, and nobody notices."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.archives import made_runs, write_archive, write_run
from tests.support.campaigns import sweep_arguments, sweep_tree
from tests.support.compressions import cache_variables, compress_arguments, compress_tree
from tests.support.runs import database_uri, environment, small_arguments, train

HEAVY = (
    *("dash", "gymnasium", "matplotlib", "mlflow", "mujoco", "numba", "onnx", "onnxruntime", "optuna", "plotly"),
    *("ray", "torch"),
)
PROBE = f"""
import json, sys
from rlx2_ray.cli.main import run
code = run(sys.argv[1:])
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
sys.exit(code)
"""
ENVIRONMENT = {"gymnasium", "mujoco"}
RUN = ENVIRONMENT | {"mlflow", "numba"}
# Trials run in processes of their own: the driver has what they are told by, and draws the report.
DRIVER = RUN | {"plotly", "ray"}
# Command -> what it may load into its own process. The names in braces are those of `arguments_of`.
MAY_LOAD: dict[str, set[str]] = {
    "": set(),
    "--help": set(),
    "train --help": set(),
    "describe {small}": ENVIRONMENT,
    "describe --observation-size 3 --action-size 1": set(),
    "train {small} --out {new} {tracked}": RUN,
    "train {small} --engine torch --out {new} {tracked}": RUN | {"torch"},
    "resume {stopped}": RUN,
    "evaluate {run} --episodes 1": ENVIRONMENT,
    # A policy file knows its spaces by gymnasium's names.
    "export {run} --format safetensors --out {new}.safetensors": {"gymnasium"},
    "export {run} --format onnx --out {new}.onnx": {"gymnasium", "onnx", "onnxruntime"},
    "export {run} --format c --out {new}.c": {"gymnasium"},
    "export {run} --format c --int8 --episodes 1 --out {new}.c": ENVIRONMENT,
    "export {run} --format parquet --out {new}": {"gymnasium", "numba"},
    "archive {made} --into {new}": set(),
    "report {run} --out {new}": {"plotly"},
    "report {archive} --out {new}": {"plotly"},
    "report {archive} --format markdown --out {new}": {"plotly"},
    "report tests {tracked} --out {new}": {"mlflow", "plotly"},
    "sweep {sweep}": DRIVER,
    "compress {compress}": DRIVER,
    "--version": set(),
    "doctor": {"gymnasium", "numba"},  # kernels say what they are made for, exports find the compiler
    "bench learner {small}": ENVIRONMENT | {"numba", "torch"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with a finished run, one that has only to write its result, one that nobody trained, and an archive."""
    folder = tmp_path_factory.mktemp("imports")
    for name in ("run", "stopped"):
        train(folder / name)
    (folder / "stopped" / "result.json").unlink()
    made = made_runs(["static"])
    write_run(folder / "made", made[0])
    write_archive(folder / "archive", made)
    return folder


SLOW = {"compress {compress}": pytest.mark.slow}


@pytest.mark.parametrize("command", [pytest.param(each, marks=SLOW.get(each, ())) for each in MAY_LOAD])
def test_command_loads_what_it_needs(command: str, folder: Path, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments_of(command, folder, tmp_path)],
        cwd=tmp_path,
        env=environment() | cache_variables(tmp_path),
        capture_output=True,
        text=True,
    )
    assert process.returncode == (0 if command else 2), process.stderr
    assert set(json.loads(process.stdout.splitlines()[-1])) <= MAY_LOAD[command]


def arguments_of(command: str, folder: Path, tmp_path: Path) -> list[str]:
    if command.startswith("sweep"):
        return sweep_arguments(tmp_path / "new", sweep_tree({"seed": {"grid": [0]}}))
    if command.startswith("compress"):
        tree = compress_tree(compress__dense_seeds=2)
        return compress_arguments(tmp_path / "new", tree, "--max-runs", "3")
    paths = {name: str(folder / name) for name in ("run", "stopped", "made", "archive")}
    filled = command.format(new=tmp_path / "new", small="SMALL", tracked="TRACKED", **paths)
    several = {"SMALL": small_arguments(), "TRACKED": ["--tracking-uri", database_uri(folder)]}
    return [argument for word in filled.split() for argument in several.get(word, [word])]
