"""Small real runs: in this process, and in processes that can be killed; and what is found on disk afterwards."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.config import ExperimentConfig, resolve, unflatten
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.envs import modules
from rlx2_ray.experiment import session
from rlx2_ray.replay import windows as replay
from rlx2_ray.runs import sealed
from rlx2_ray.runs.directory import Tracking
from rlx2_ray.tracking import consent
from rlx2_ray.tracking.tracker import Tracker
from rlx2_ray.types import Spaces
from tests.support.strange_envs import MAY_DIE

ROOT = Path(__file__).parents[2]
RLX2 = Path(sys.executable).parent / "rlx2"  # the installed console script
Changes = dict[str, Any]  # dotted key -> value


# What a run came to that nobody has trained.
RESULT: Changes = {
    **{"env_id": "InvertedPendulum-v5", "algo": "td3", "method": "rlx2", "seed": 0, "engine": "sparse"},
    **{"runtime": "inline", "env_steps": 600, "learner_steps": 500, "ended_early": False, "score": 1.5},
    **{"policy_sparsity": 0.5, "critic_sparsity": 0.4, "active_weights": 590, "size_ratio": 0.5, "compression": 2.0},
    **{"train_flops_ratio_paper": 0.5, "train_flops_ratio_counted": 0.5, "inference_flops_ratio": 0.5},
    **{"env_steps_per_s": 1000.0, "learner_steps_per_s": 900.0, "wall_s": 0.6, "policy_digest": "0" * 64},
    **{"mlflow_run_id": None, "checkpoint": None, "versions": {}, "faults": {}},
}
PLAYED: Changes = {"env_steps": 600, "return_mean": 2.0, "return_std": 0.0, "episodes": 2}  # its key `deployed`


def made_point(env_steps: int, return_mean: float = 0.1, **metrics: float) -> dict[str, Any]:
    """An evaluation that nobody has played."""
    return {
        **{"env_steps": env_steps, "learner_steps": env_steps, "return_mean": return_mean, "return_std": 0.0},
        **metrics,
    }


class Ended(NamedTuple):
    """A run or a campaign by the console script, to its end."""

    directory: Path
    code: int
    output: str
    error: str

    @property
    def result(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return content


# Seconds long; topology events, the switch of the target and shrinking of the replay all happen inside.
SMALL: Changes = {
    "env.id": "InvertedPendulum-v5",
    "steps": 600,
    "sparsity.policy": 0.5,
    "sparsity.critic": 0.4,
    "network.hidden": [16, 16],
    "agent.batch_size": 16,
    "agent.warmup_steps": 100,
    "topology.interval": 20,
    "target.n_step_start": 150,
    "replay.min_capacity": 100,
    "replay.policy_distance_threshold": 0.0,
    "replay.check_interval": 50,
    "evaluation.interval": 100,
    "evaluation.episodes": 1,
    "evaluation.score_window": 30,  # all there are
    "evaluation.deployed_episodes": 2,
    "checkpoint.interval": 170,
}


def small_config(**changes: Any) -> ExperimentConfig:
    """`SMALL` with changes, whose names have __ for the dot."""
    return resolve(unflatten({**SMALL, **dotted(changes)}))


def dotted(changes: Changes) -> Changes:
    return {key.replace("__", "."): value for key, value in changes.items()}


def small_arguments(**changes: Any) -> list[str]:
    """The same as arguments of `rlx2 train` or `rlx2 describe`."""
    assignments = [f"{key}={json.dumps(value)}" for key, value in {**SMALL, **dotted(changes)}.items()]
    return [argument for assignment in assignments for argument in ("--set", assignment)]


def database_uri(folder: Path) -> str:
    """An MLflow database in `folder`; a copy of one that has its tables, since making them takes seconds."""
    database = folder / "mlflow.db"
    if not database.exists():
        with closing(sqlite3.connect(_database_template())) as source, closing(sqlite3.connect(database)) as copy:
            source.backup(copy)
    return f"sqlite:///{database}"


@functools.cache
def _database_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rlx2-tests-"))
    database = folder / "mlflow.db"
    warnings: list[str] = []
    tracker = Tracker(f"sqlite:///{database}", "template", "template", "template", {}, {}, warnings.append)
    tracker.start()
    assert not warnings
    return database


def train(directory: Path, **changes: Any) -> dict[str, Any]:
    """A small run in this process, tracked beside `directory`."""
    config = small_config(**changes)
    return session.start(config, directory, Tracking(database_uri(directory.parent), "tests"), train_on_runtime)


def resume(directory: Path) -> dict[str, Any]:
    return session.resume(directory, train_on_runtime)


def start_train(directory: Path, **changes: Any) -> subprocess.Popen[str]:
    """A small run in a process of its own, in which a `Dying` environment dies."""
    compile_kernels()
    uri = database_uri(directory.parent)
    arguments = ["train", "--out", str(directory), "--tracking-uri", uri, *small_arguments(**changes)]
    return start_rlx2(*arguments, folder=directory.parent, **{MAY_DIE: "1"})


def start_rlx2(*arguments: str, folder: Path, **variables: str) -> subprocess.Popen[str]:
    """The console script in a process group of its own; `variables`: of its environment."""
    return subprocess.Popen(
        [str(RLX2), *arguments],
        cwd=folder,
        env=environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def rlx2(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The console script, to its end."""
    compile_kernels()
    return subprocess.run([str(RLX2), *arguments], cwd=folder, env=environment(), capture_output=True, text=True)


@functools.cache
def compile_kernels() -> None:
    """So that no process says on standard error that it does, and none waits for another."""
    replay.compile_kernels()
    for algo in ("td3", "sac"):
        make_learner(small_config(algo=algo), Spaces(1, 1, (-1.0,), (1.0,)))


MODULES = [
    f"tests.{name}"
    for name in ("support.strange_envs", "support.compression_envs", "distributed.mortal_envs", "faults.environments")
]


def environment() -> dict[str, str]:
    """Of a process that finds the environments of the tests, which it may import, and no settings of who runs them."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    return own | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "", modules.VARIABLE: ",".join(MODULES)}


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kills the process at the end, whatever a test did with it."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Until `condition` holds; fails with the process's words where it ended before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}: {process.communicate()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"{condition} did not come true in {seconds} s")
        time.sleep(0.005)


def read_points(directory: Path) -> list[dict[str, Any]]:
    """Empty where there are none yet."""
    progress = directory / "progress.jsonl"
    return [json.loads(line) for line in progress.read_text().splitlines()] if progress.exists() else []


def evaluated_steps(directory: Path) -> list[int]:
    return [point["env_steps"] for point in read_points(directory)]


def checkpoint_names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


def tracked_runs(directory: Path) -> list[Any]:
    """All runs of the database beside `directory` that this module's `train` made."""
    client, experiment = _client(directory.parent)
    return list(client.search_runs([experiment]))


def tracked_run(directory: Path) -> Any:
    """The one run there is."""
    (run,) = tracked_runs(directory)
    return run


def metric_histories(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every metric of the one run, by step."""
    client, _ = _client(directory.parent)
    run = tracked_run(directory)
    return {
        name: sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def _client(folder: Path) -> tuple[Any, str]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    names = {experiment.name: experiment.experiment_id for experiment in client.search_experiments()}
    return client, names.get("tests") or names["rlx2"]


def copy_run(source: Path, folder: Path) -> Path:
    """The run directory `source` and its database, copied into `folder`, where it is tracked from now on."""
    run = folder / source.name
    shutil.copytree(source, run)
    shutil.copy(source.parent / "mlflow.db", folder)
    origin = sealed.parse((run / "run.json").read_bytes())
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    consent.remember(uri)
    moved = origin | {"tracking_uri": uri}
    (run / "run.json").write_text(sealed.to_text(moved))
    return run


def flip_byte(path: Path) -> None:
    """Damage a file in its middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


# Runs of several processes


def family(process: subprocess.Popen[str]) -> set[psutil.Process]:
    """The processes that a run has started, and theirs."""
    try:
        return set(psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def command_line(process: psutil.Process) -> str:
    """Empty for one that has gone. An actor's begins with "ray::" and the name of its class."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def actors_of(process: subprocess.Popen[str], worker: str) -> list[psutil.Process]:
    """The living actors of a class; those that have not got so far as to have a name are not among them."""
    return [each for each in family(process) if command_line(each).startswith(f"ray::{worker}")]


def check_gone(processes: set[psutil.Process], seconds: float = 120) -> None:
    """Ray's agents look only once a minute whether their killed parent is still there."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert [(process.pid, process.name()) for process in alive] == []


def points_there(directory: Path, count: int) -> Callable[[], bool]:
    return lambda: len(read_points(directory)) >= count


def said(error: str) -> list[str]:
    """The lines of a run's standard error beside its heading, its points and its progress."""
    return [line for line in error.splitlines() if not re.match(r"env step|Policy |Into |.* env steps, engine ", line)]


def check_points(directory: Path, points: list[int]) -> None:
    """Every point once and in order, on disk and in the one MLflow run, which is finished."""
    assert evaluated_steps(directory) == points
    assert tracked_run(directory).info.status == "FINISHED"
    histories = metric_histories(directory)
    for name, history in histories.items():
        steps = [step for step, _ in history]
        assert len(steps) == len(set(steps)), name
    assert [step for step, _ in histories["evaluation/return_mean"]] == points


def resume_and_check(directory: Path, points: list[int]) -> dict[str, Any]:
    """The run goes on to its end, with every point once, in one MLflow run."""
    process = rlx2("resume", str(directory), "--json", folder=directory.parent)
    assert process.returncode == 0, process.stderr
    check_points(directory, points)
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result
