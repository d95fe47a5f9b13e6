"""Real runs on actors of this machine: what transport costs the learner, and what each kind of process takes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.places import ROOT
from benchmarks.scaling.tasks import TASKS
from rlx2_ray.bench.processes import Process, process_tree
from rlx2_ray.config import load, resolve, updates_due

TASK = TASKS[1]  # Hopper
SHAPES = ((1, 1), (4, 4))  # rollouts, shards
STEPS, INTERVAL = 40_000, 5_000  # env steps: of a run, between evaluations (of one episode)
SKIPPED = 2  # evaluations: warm-up, and the first of the learning
LOOK_S = 0.2  # between looks for a new evaluation, at which the processes are looked at

PROGRESS = "progress.jsonl"

# What a process's command line begins with or, for those that are no actors, holds.
KINDS = {
    "ray::RolloutWorker": "rollout",
    "ray::ReplayShard": "shard",
    "ray::LearnerWorker": "learner",
    "ray::EvaluationWorker": "evaluator",
    "rlx2_ray": "driver",
}

Figures = dict[str, Any]


def measure() -> list[Figures]:
    return [measure_run(rollouts, shards) for rollouts, shards in SHAPES]


def measure_run(rollouts: int, shards: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="rlx2-scaling-") as folder:
        out = Path(folder) / "run"
        looks = watch([*TASK.options, *options(rollouts, shards), *outputs(out)], out / PROGRESS)
        points = [json.loads(line) for line in (out / PROGRESS).read_text().splitlines()]
        agent = resolve(load(out / "config.yaml")).agent
    learning = points[SKIPPED:]
    dues = [updates_due(point["env_steps"], agent.warmup_steps, agent.updates_per_env_step) for point in learning]
    update_us, batch_us = (
        statistics.mean(one[f"actors/{name}_us"] for one in learning) for name in ("update", "batch")
    )
    first, last = learning[0], learning[-1]
    return {
        "rollouts": rollouts,
        "shards": shards,
        "env_steps": last["env_steps"],
        "update_us": update_us,
        "batch_us": batch_us,
        "transport": batch_us / update_us,
        "ratio_error": max(abs(one["learner_steps"] / due - 1) for one, due in zip(learning, dues, strict=True)),
        "env_steps_per_s": (last["env_steps"] - first["env_steps"]) / (training_s(last) - training_s(first)),
        "processes": summarise(looks),
        "core_us_per_env_step": core_us_per_env_step(looks),
    }


def options(rollouts: int, shards: int) -> list[str]:
    return [
        *("--steps", str(STEPS), "--runtime", "actors"),
        *("--rollout-actors", str(rollouts), "--replay-shards", str(shards)),
        *("--set", f"evaluation.interval={INTERVAL}", "--set", "evaluation.episodes=1"),
    ]


def outputs(out: Path) -> list[str]:
    return ["--out", str(out), "--tracking-uri", f"sqlite:///{out.parent}/mlflow.db"]


def training_s(point: dict[str, Any]) -> float:
    """Its clock stands still during checkpoints."""
    seconds: float = point["env_steps"] / point["throughput/env_steps_per_s"]
    return seconds


class Look(NamedTuple):
    """The processes of a run at an evaluation."""

    env_steps: int
    groups: dict[str, list[Process]]  # by kind


def watch(arguments: Sequence[str], progress: Path) -> list[Look]:
    """Run `rlx2 train`."""
    looks: list[Look] = []
    command = [sys.executable, "-m", "rlx2_ray", "train", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            lines = progress.read_text().splitlines() if progress.exists() else []
            if len(lines) > len(looks):
                groups: dict[str, list[Process]] = {}
                for process in process_tree(run.pid):
                    groups.setdefault(kind_of(process), []).append(process)
                looks += [Look(json.loads(line)["env_steps"], groups) for line in lines[len(looks) :]]
            time.sleep(LOOK_S)
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}.")
    return looks


def summarise(looks: Sequence[Look]) -> dict[str, Figures]:
    """At the last look at which all were there, by kind: how many, the largest of them, and all together."""
    groups = max(looks, key=lambda look: (sum(map(len, look.groups.values())), look.env_steps)).groups
    return {
        kind: {
            "count": len(group),
            "rss_bytes": max(process.rss_bytes for process in group),
            "pss_bytes": max(process.pss_bytes for process in group),
            "pss_bytes_together": sum(process.pss_bytes for process in group),
            "open_files": max(process.open_files for process in group),
        }
        for kind, group in groups.items()
    }


def core_us_per_env_step(looks: Sequence[Look]) -> dict[str, float]:
    """By kind of process, while the learner learns."""
    first, last = looks[SKIPPED], looks[-2]  # at the last one, some may have ended
    env_steps = last.env_steps - first.env_steps
    return {
        kind: 1e6 * sum(process.cpu_s - before.get(process.pid, 0.0) for process in group) / env_steps
        for kind, group in last.groups.items()
        for before in [{process.pid: process.cpu_s for process in first.groups.get(kind, [])}]
    }


def kind_of(process: Process) -> str:
    return next((kind for words, kind in KINDS.items() if words in process.title), "Ray's own")
