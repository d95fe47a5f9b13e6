"""Does a run live through anything? One process is killed every 20 s, all kinds in turn, and it must lose nothing else.

    python -m benchmarks.soak [--minutes 10] [--every 20] [--seed 0] [--write]

A real `rlx2 train` on a Ray cluster of three nodes on this machine. SIGKILL goes round rollout, shard, learner,
evaluator, driver (which `rlx2 resume` follows) and a node with all that is on it (which a new node replaces). Prints
one JSON object, and exits with 1 where something that is promised does not hold. It shares its helpers with the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil

from rlx2_ray.config import ExperimentConfig, load, resolve
from tests.distributed.local_cluster import DRIVER_VARIABLES, LocalCluster, local_cluster
from tests.support.runs import (
    ROOT,
    compile_kernels,
    database_uri,
    family,
    metric_histories,
    read_points,
    said,
    start_rlx2,
)

CONFIG = ROOT / "tune_configs" / "inverted_pendulum.yaml"
RESULTS = ROOT / "results" / "soak.json"

WORKERS = {
    "rollout": "RolloutWorker",
    "shard": "ReplayShard",
    "learner": "LearnerWorker",
    "evaluator": "EvaluationWorker",
}
KINDS = (*WORKERS, "driver", "node")
NODE_CPUS = 6  # room for all actors on either of two nodes
ROLLOUTS, SHARDS = 2, 2
STEP_S = 0.02  # of an environment, so that the length of a run does not hang on the machine ...
STEPS_PER_MINUTE = 4200  # ... with what the kills cost
INTERVAL = 1000  # env steps between two checkpoints, and between two evaluations
IN_FLIGHT = 32 * ROLLOUTS  # env steps begun and not stored
AHEAD = IN_FLIGHT + 2 * 64  # updates that may be undone, with one an env step
PATIENCE = 5  # times as long as was asked a run may take, on a busy machine

Report = dict[str, Any]


class Soak:
    """One run and its killer."""

    def __init__(self, cluster: LocalCluster, directory: Path, steps: int, seed: int) -> None:
        self.directory = directory
        self.kills: Counter[str] = Counter()
        self.problems: list[str] = []
        self.lines: list[str] = []  # that drivers said of deaths
        self._cluster = cluster
        self._random = random.Random(seed)
        self._seen: set[psutil.Process] = set()
        self._driver = self._start("train", str(CONFIG), *arguments(directory, steps, seed, cluster.address))

    def _start(self, *command: str) -> subprocess.Popen[str]:
        self._points_before = len(read_points(self.directory))
        return start_rlx2(*command, folder=self.directory.parent, **DRIVER_VARIABLES)

    def run(self, every_s: float, at_most_s: float) -> None:
        """Until the run ends, or has taken too long."""
        kinds, due = cycle(KINDS), time.monotonic() + every_s
        deadline = time.monotonic() + at_most_s
        while self._driver.poll() is None:
            time.sleep(0.1)
            self._seen |= family(self._driver)
            if time.monotonic() > deadline:
                self.problems.append(f"the run had not ended after {at_most_s:.0f} s")
                self._driver.kill()
            elif time.monotonic() > due and self._is_at_work():
                self._kill(next(kinds))
                due = time.monotonic() + every_s
        self._take_in(expected=0)

    def end(self) -> None:
        """Whatever has happened."""
        self._driver.kill()

    def _is_at_work(self) -> bool:
        """Something was evaluated since the driver began, and all actors are there."""
        counts = [len(self._cluster.actors(worker)) for worker in WORKERS.values()]
        return len(read_points(self.directory)) > self._points_before and counts == [ROLLOUTS, SHARDS, 1, 1]

    def _kill(self, kind: str) -> None:
        self.kills[kind] += 1
        if kind == "driver":
            self._driver.kill()
            self._take_in(expected=-signal.SIGKILL)
            self._driver = self._start("resume", str(self.directory))
        elif kind == "node":
            self._cluster.kill_node(self._random.choice(self._cluster.nodes))
            self._cluster.add_node(NODE_CPUS)
        else:
            self._random.choice(self._cluster.actors(WORKERS[kind])).kill()

    def _take_in(self, expected: int) -> None:
        """What a driver that has ended said."""
        _, error = self._driver.communicate()
        self.lines += said(error)
        if self._driver.returncode != expected:
            self.problems.append(f"a driver ended with {self._driver.returncode}: {error[-1000:]}")

    def processes_left(self) -> list[str]:
        """To be asked for when the cluster has gone."""
        _, alive = psutil.wait_procs(self._seen | self._cluster.seen, timeout=30)
        return sorted(f"{process.pid} {process.name()}" for process in alive)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long the run is, about")
    parser.add_argument("--every", type=float, default=20, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=0, help="of the run and of what is killed")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    report = soak(options.minutes, options.every, options.seed)
    text = json.dumps(report, indent=2)
    print(text)  # noqa: T201 - this is the command line
    if options.write:
        RESULTS.write_text(text + "\n")
    sys.exit(1 if report["problems"] else 0)


def soak(minutes: float, every_s: float, seed: int) -> Report:
    compile_kernels()
    folder = Path(tempfile.mkdtemp(prefix="rlx2-soak-"))
    began, shared_memory = time.monotonic(), set(os.listdir("/dev/shm"))
    with local_cluster(0, [NODE_CPUS, NODE_CPUS]) as cluster:
        one = Soak(cluster, folder / "run", int(minutes * STEPS_PER_MINUTE), seed)
        try:
            one.run(every_s, 60 * minutes * PATIENCE)
        finally:
            one.end()
    left: Report = {
        "processes_left": one.processes_left(),
        "shared_memory_left": sorted(
            name for name in set(os.listdir("/dev/shm")) - shared_memory if "plasma" in name or "ray" in name
        ),
    }
    asked: Report = {
        "every_s": every_s,
        "seed": seed,
        "wall_s": round(time.monotonic() - began),
        "kills": dict(one.kills),
    }
    report = asked | outcome(one) | left
    report["problems"] += [f"{name} is not empty" for name, what in left.items() if what]
    if report["problems"]:
        print(f"The run is kept in {folder}.", file=sys.stderr)  # noqa: T201 - this is the command line
    else:
        shutil.rmtree(folder)
    return report


def arguments(directory: Path, steps: int, seed: int, address: str) -> list[str]:
    settings = {
        "env.id": "tests.distributed.mortal_envs:UnhurriedPendulum-v0",
        "env.kwargs": {"step_s": STEP_S},
        "steps": steps,
        "seed": seed,
        "runtime.kind": "actors",
        "runtime.rollout_actors": ROLLOUTS,
        "runtime.replay_shards": SHARDS,
        "runtime.shard_placement": "spread",
        "runtime.address": address,
        "replay.min_capacity": 1000,
        "evaluation.interval": INTERVAL,
        "evaluation.episodes": 2,
        "checkpoint.interval": INTERVAL,
    }
    assignments = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    return ["--out", str(directory), "--tracking-uri", database_uri(directory.parent), *assignments]


def outcome(one: Soak) -> Report:
    """What was done and lost, and in `problems` what should not have been."""
    config = resolve(load(one.directory / "config.yaml"))
    points = read_points(one.directory)
    report: Report = {
        "env_steps_asked": config.steps,
        "updates_planned": config.planned_updates,
        **done(one.directory),
        "points": len(points),
        "checkpoint_interval": INTERVAL,
        "faults": {name: value for name, value in points[-1].items() if name.startswith("faults/")} if points else {},
        "largest_transitions_lost": max(transitions_lost(one.lines), default=0),
        "largest_updates_lost": max(growth([point.get("faults/updates_lost", 0) for point in points]), default=0),
    }
    return report | {"problems": [*one.problems, *broken_promises(one, config, points, report)]}


def done(directory: Path) -> Report:
    """Empty-handed where the run has no result."""
    file = directory / "result.json"
    result = json.loads(file.read_text()) if file.exists() else {}
    return {
        name: result.get(key)
        for name, key in (("env_steps", "env_steps"), ("updates", "learner_steps"), ("score", "score"))
    }


def transitions_lost(lines: list[str]) -> list[int]:
    """By each death of a shard."""
    found = (re.search(r"without its last (\d+) transitions", line) for line in lines)
    return [int(match.group(1)) for match in found if match]


def growth(values: list[float]) -> list[float]:
    return [max(0.0, after - before) for before, after in zip([0.0, *values], values, strict=False)]


def broken_promises(
    one: Soak, config: ExperimentConfig, points: list[dict[str, Any]], report: dict[str, Any]
) -> list[str]:
    steps = [*range(INTERVAL, config.steps, INTERVAL), config.steps]
    histories = metric_histories(one.directory)
    tracked = [step for step, _ in histories.get("evaluation/return_mean", [])]
    repeated = [name for name, history in histories.items() if len({step for step, _ in history}) < len(history)]
    promises = {
        "all env steps are done": report["env_steps"] == config.steps,
        "all updates are done": report["updates"] == config.planned_updates,
        "every point is in progress.jsonl once, in order": [point["env_steps"] for point in points] == steps,
        "every point is in MLflow once": tracked == steps and not repeated,
        "every kind was killed": set(one.kills) == set(KINDS),
        "a shard loses what came since the checkpoint": report["largest_transitions_lost"] <= INTERVAL + 2 * IN_FLIGHT,
        "a learner loses what it did since the checkpoint": report["largest_updates_lost"]
        <= INTERVAL + IN_FLIGHT + AHEAD,
    }
    return [f"not so: {promise}" for promise, holds in promises.items() if not holds]


if __name__ == "__main__":
    main()
