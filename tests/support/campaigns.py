"""Small real sweeps by the console script, and what is found on disk and in MLflow afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rlx2_ray.config import Tree, merge, nest
from rlx2_ray.runs import sealed
from tests.support.runs import (
    SMALL,
    Changes,
    Ended,
    compile_kernels,
    database_uri,
    dotted,
    evaluated_steps,
    family,
    rlx2,
    start_rlx2,
    tracked_runs,
)

# Two grids and so four trials, of a second each and a start that takes longer.
SPACE: Tree = {"sparsity.policy": {"grid": [0.3, 0.5]}, "seed": {"grid": [0, 1]}}
STEPS = 300
NAMES = [f"{index:05}-sparsity.policy={policy}-seed={seed}" for index, (policy, seed) in enumerate(
    [(0.3, 0), (0.3, 1), (0.5, 0), (0.5, 1)]
)]  # fmt: skip


def sweep_tree(space: Tree = SPACE, tune: Tree | None = None, **changes: Any) -> Tree:
    """The content of a sweep's file: `SMALL` with changes, whose names have __ for the dot."""
    own: Changes = {**SMALL, "steps": STEPS, **dotted(changes)}
    varied = {key.strip() for name in space for key in name.split(",")}
    tree: Tree = {}
    for key, value in own.items():
        tree = tree if key in varied or value is None else merge(tree, nest(key, value))
    return {**tree, "param_space": space, **({"tune": tune} if tune else {})}


def write_sweep(folder: Path, *arguments: Any, **changes: Any) -> Path:
    """`arguments`: of `sweep_tree`."""
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep_tree(*arguments, **changes), sort_keys=False))
    return file


def sweep_arguments(directory: Path, tree: Tree, uri: str | None = None) -> list[str]:
    """Of a sweep in `directory`, tracked beside it where no other store is given."""
    file = directory.parent / f"{directory.name}.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return ["sweep", str(file), "--out", str(directory), "--tracking-uri", uri or database_uri(directory.parent)]


def sweep(directory: Path, tree: Tree, *options: str, uri: str | None = None) -> Ended:
    """A sweep to its end."""
    return _ended(directory, rlx2(*sweep_arguments(directory, tree, uri), "--json", *options, folder=directory.parent))


def resume_sweep(directory: Path, *options: str) -> Ended:
    return _ended(directory, rlx2("resume", str(directory), "--json", *options, folder=directory.parent))


def _ended(directory: Path, process: subprocess.CompletedProcess[str]) -> Ended:
    return Ended(directory, process.returncode, process.stdout, process.stderr)


def start_sweep(directory: Path, tree: Tree, *options: str, **variables: str) -> subprocess.Popen[str]:
    """A sweep in processes of their own that can be killed; `variables`: of their environment."""
    compile_kernels()
    return start_rlx2(*sweep_arguments(directory, tree), *options, folder=directory.parent, **variables)


def kill(process: subprocess.Popen[str], with_ray: bool = False) -> None:
    """SIGKILL to the driver, and as where the machine goes down, to all that it started."""
    processes = family(process) if with_ray else set()
    process.kill()
    for each in processes:
        if each.is_running():
            each.kill()
    process.communicate()


def interrupt(process: subprocess.Popen[str], number: signal.Signals, directory: Path) -> None:
    """A campaign in `directory` ends with 130 and a sentence, and its record says so."""
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    output, error = process.communicate(timeout=200)
    assert (process.returncode, output) == (130, "")
    assert "Traceback" not in error
    assert error.splitlines()[-1] == f"rlx2: Stopped; 'rlx2 resume {directory}' goes on."
    assert read_record(directory)["state"] == "interrupted"


def trial_directories(directory: Path) -> list[Path]:
    """Those that have become runs, by name."""
    return sorted(path.parent for path in (directory / "trials").glob("*/config.yaml"))


def trial_names(directory: Path) -> list[str]:
    return [path.name for path in trial_directories(directory)]


def finished_trials(directory: Path) -> list[Path]:
    return [path for path in trial_directories(directory) if (path / "result.json").exists()]


def moments(directory: Path) -> dict[str, int]:
    """When the results of the finished trials were written."""
    return {path.name: (path / "result.json").stat().st_mtime_ns for path in finished_trials(directory)}


def read_result(directory: Path) -> dict[str, Any]:
    """Of a run or a sweep."""
    return sealed.parse((directory / "result.json").read_bytes())


def read_record(directory: Path) -> dict[str, Any]:
    return sealed.parse((directory / "record.json").read_bytes())


def digests(directory: Path) -> dict[str, str]:
    """Of the policies of all finished trials, by name."""
    return {path.name: read_result(path)["policy_digest"] for path in finished_trials(directory)}


def parent_and_children(directory: Path) -> tuple[Any, dict[str, Any]]:
    """The run of the one sweep that is tracked beside `directory`, and those of its trials by name."""
    runs = tracked_runs(directory)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(children) == len(runs) - 1
    by_name = {run.data.tags["rlx2.trial"]: run for run in children}
    assert len(by_name) == len(children), "one run in MLflow for each trial"
    return parents[0], by_name


def check_every_point_once(directory: Path, points: Mapping[str, list[int]]) -> None:
    """On disk and in MLflow; `points`: env steps of the evaluations of every trial, by name."""
    assert {path.name: evaluated_steps(path) for path in trial_directories(directory)} == points
    _, children = parent_and_children(directory)
    for name, steps in points.items():
        assert [step for step, _ in history(directory, children[name], "evaluation/return_mean")] == steps, name


def history(directory: Path, run: Any, metric: str) -> list[tuple[int, float]]:
    """(step, value) of a metric of a run in the store beside `directory`."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{directory.parent / 'mlflow.db'}")
    return sorted((each.step, each.value) for each in client.get_metric_history(run.info.run_id, metric))


def logs(directory: Path) -> str:
    """What all trials have said."""
    return "\n".join(file.read_text() for file in sorted(directory.glob("trials/*/log.txt")))
