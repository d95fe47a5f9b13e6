"""The studies of learning: which runs their sweeps make, and what their reports are made of."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import engines, inverted_pendulum, runtimes, studies
from benchmarks.places import ROOT
from rlx2_ray.config import ExperimentConfig, Tree, load, merge, resolve
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.sweep.description.queue import QueueDescription, gather, parse_queue, queue_tree
from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory
from rlx2_ray.sweep.planner import INDEX, make_planner
from rlx2_ray.sweep.trials.job import Plan
from tests.support.archives import write_run
from tests.support.sweeps import Made

CONFIGS = ROOT / "tune_configs"
PENDULUM = load(CONFIGS / "inverted_pendulum.yaml")
SEEDS = (0, 1, 2)
POLICY = inverted_pendulum.POLICY
STUDIES: dict[str, ModuleType] = {
    "inverted_pendulum": inverted_pendulum, "engines": engines, "runtimes": runtimes,
}  # fmt: skip


def description(study: str) -> QueueDescription:
    return parse_queue(gather(CONFIGS / "studies" / f"{study}.yaml", {}))


def plans(study: str) -> list[Plan]:
    planner = make_planner(description(study))
    return [planner.plan({INDEX: index}, "") for index in range(len(planner.samples))]


def expected(study: str) -> list[ExperimentConfig]:
    """The configurations that the reports of record were made of, in their order."""
    return [resolve(merge(merge(task, arm), {"seed": seed})) for task, arm, seed in ARMS[study]]


def on_actors(rollouts: int, shards: int) -> Tree:
    return {"runtime": {"kind": "actors", "rollout_actors": rollouts, "replay_shards": shards}}


def hopper(steps: int, **more: Any) -> Tree:
    return {"env": {"id": "Hopper-v5"}, "steps": steps, **more}


INLINE: Tree = {"runtime": {"kind": "inline"}}
ARMS: dict[str, list[tuple[Tree, Tree, int]]] = {
    "inverted_pendulum": [
        (merge(PENDULUM, runtime), {"algo": algo}, seed)
        for runtime, algo, seed in itertools.product((INLINE, on_actors(2, 2)), ("td3", "sac"), SEEDS)
    ],
    "engines": [
        (task, {"engine": engine}, seed)
        for task, engine, seed in itertools.product(
            (PENDULUM, hopper(300_000, sparsity={"policy": 0.98, "critic": 0.95})), ("torch", "sparse"), SEEDS
        )
    ],
    "runtimes": [
        *itertools.product(
            (PENDULUM, hopper(200_000)), (INLINE, on_actors(1, 1), on_actors(4, 1), on_actors(4, 4)), SEEDS
        ),
        *((hopper(200_000), on_actors(1, 1), seed) for seed in (3, 4, 5)),
    ],
}


@pytest.mark.parametrize("study", STUDIES)
def test_sweep_makes_the_runs_of_record(study: str) -> None:
    assert [plan.config for plan in plans(study)] == expected(study)
    kept = json.loads((ROOT / "results" / f"{study}.json").read_text())
    assert [(one["env_id"], one["seed"], one["env_steps"]) for one in kept] == [
        (plan.config.env.id, plan.config.seed, plan.config.steps) for plan in plans(study)
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all that the reports write goes."""
    monkeypatch.setattr(studies, "RESULTS", tmp_path)
    for module in STUDIES.values():
        for name in {"PICTURE", "POLICY", "REPORT", "TABLE"} & vars(module).keys():
            monkeypatch.setattr(module, name, tmp_path / name)
    return tmp_path


def write_sweep(study: str, path: Path) -> None:
    """The directory of a study's sweep, as if all trials had finished."""
    with closing(SweepDirectory(path)) as directory:
        directory.create("sweep", queue_tree(description(study)), Tracking("sqlite:///mlflow.db", study))
    for plan in plans(study):
        points = [made_point(plan.config, part) for part in (0.15, 0.6, 1.0)]
        written = write_run(path / "trials", Made(plan.name, plan.config, plan.purpose, points, 950.0))
        shutil.copy(POLICY, RunDirectory(written).policy_file)


def made_point(config: ExperimentConfig, part: float) -> Tree:
    """An evaluation after a part of the run; half way, a tenth of the updates that were due is undone."""
    env_steps = round(part * config.steps)
    due = env_steps - config.agent.warmup_steps
    learner_steps = due if part == 1.0 else round(0.9 * due)
    returns = {"return_mean": 1000.0 * part, "return_std": 1.0}
    return {"env_steps": env_steps, "learner_steps": learner_steps, **returns, "wall_s": 60.0 * part}


@pytest.mark.parametrize("study", STUDIES)
def test_report_is_made_of_the_trials_of_a_sweep(study: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = folder / "sweep"
    write_sweep(study, sweep)
    monkeypatch.setattr(sys, "argv", [study, str(sweep)])
    STUDIES[study].main()
    kept, of_record = (json.loads((place / f"{study}.json").read_text()) for place in (folder, ROOT / "results"))
    assert [list(one) for one in kept] == [list(one) for one in of_record]
    names = {"env_id", "seed", "algo", "arm", "env_steps"} & kept[0].keys()
    assert [[one[name] for name in names] for one in kept] == [[one[name] for name in names] for one in of_record]
    assert all(one.get("ratio_error", 0.1) == pytest.approx(0.1, abs=1e-3) for one in kept)
    written = contents(folder)
    shutil.rmtree(sweep)
    monkeypatch.setattr(sys, "argv", [study])
    STUDIES[study].main()
    assert contents(folder) == written, "the same, of what was kept"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_sweep_that_has_not_finished_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = folder / "sweep"
    write_sweep("engines", sweep)
    (RunDirectory(sweep / "trials" / plans("engines")[7].name).result_file).unlink()
    monkeypatch.setattr(sys, "argv", ["engines", str(sweep)])
    with pytest.raises(SystemExit, match=f"is not finished: 'rlx2 resume {sweep}' goes on"):
        engines.main()
    assert contents(folder) == {}
