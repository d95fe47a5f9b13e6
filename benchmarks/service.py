"""What the service costs: a sweep of 12 trials on 2 cores against the same work as bare runs, two side by side.

    python -m benchmarks.service [--write]

In turns, twice: two `rlx2 train` at once, and `rlx2 sweep` of 12 trials like them, two at a time. Nothing else
should run on the machine, which should have two cores. Of a run only its own clock counts (`wall_s` of result.json:
training, evaluations, checkpoints, tracking), so that the sweep is charged with every second in which a core did not do
just that: starting trials, Tune, MLflow, the record. The start and the end of the command itself (imports, Ray, report)
stand beside.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.places import ROOT

RESULTS = ROOT / "results" / "service.json"
CORES, TRIALS, ROUNDS = 2, 12, 2
RUN: dict[str, Any] = {
    "env": {"id": "Hopper-v5"},
    "steps": 30_000,
    "sparsity": {"policy": 0.98, "critic": 0.95},
    "evaluation": {"interval": 2_000, "episodes": 3},
    "checkpoint": {"interval": 15_000},
}

Result = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {RESULTS.relative_to(ROOT)}")
    write = parser.parse_args().write
    rounds = [_measure(number) for number in range(ROUNDS)]
    keys = ("efficiency", "efficiency_of_command", "overhead_per_trial_s", "start_and_end_s")
    summary = {key: statistics.median(each[key] for each in rounds) for key in keys}
    content = {"cores": CORES, "trials": TRIALS, "run": RUN, "rounds": rounds, "median": summary}
    if write:
        RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    sys.stdout.write(json.dumps(summary) + "\n")


def _measure(number: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="rlx2-service-") as folder:
        runs = _side_by_side(Path(folder), number)
        started = time.time()
        trials = _sweep(Path(folder))
        command_s = time.time() - started
        record = json.loads((Path(folder) / "sweep" / "record.json").read_text())
    # Seeds differ in how long their episodes are, and so their evaluations: each side is taken per run.
    ideal_s = TRIALS / CORES * statistics.mean(runs)
    trials_s = max(trial["ended"] for trial in trials) - min(trial["began"] for trial in trials)
    busy_s = sum(trial["wall_s"] for trial in trials)
    return {
        "run_s": statistics.mean(runs),
        "trial_s": busy_s / TRIALS,
        "sweep_s": trials_s,
        "command_s": command_s,
        "record_s": record["updated"] - record["started"],
        "efficiency": ideal_s / trials_s,
        "efficiency_of_command": ideal_s / command_s,
        "overhead_per_trial_s": (CORES * trials_s - busy_s) / TRIALS,
        "start_and_end_s": command_s - trials_s,
    }


def _side_by_side(folder: Path, number: int) -> list[float]:
    """Seconds of each of two runs at once, twice."""
    seconds = []
    for pair in range(2):
        processes = [_train(folder / f"run{pair}{index}", seed=index + 2 * pair) for index in range(CORES)]
        if any(process.wait() for process in processes):
            raise SystemExit("a run failed")
        results = [json.loads((folder / f"run{pair}{index}" / "result.json").read_text()) for index in range(CORES)]
        seconds += [result["wall_s"] for result in results]
    return seconds


def _train(out: Path, seed: int) -> subprocess.Popen[bytes]:
    config = out.parent / "run.yaml"
    config.write_text(yaml.safe_dump(RUN))
    arguments = ["train", str(config), "--seed", str(seed), "--out", str(out), *_tracking(out.parent)]
    return _rlx2(arguments)


def _sweep(folder: Path) -> list[Result]:
    """When each trial began and ended, by its files, and its own clock."""
    config, out = folder / "sweep.yaml", folder / "sweep"
    config.write_text(yaml.safe_dump({**RUN, "param_space": {"seed": {"grid": list(range(TRIALS))}}}))
    if _rlx2(["sweep", str(config), "--concurrent", str(CORES), "--out", str(out), *_tracking(folder)]).wait():
        raise SystemExit("the sweep failed")
    return [_times(path.parent) for path in sorted(out.glob("trials/*/result.json"))]


def _times(trial: Path) -> Result:
    return {
        "began": (trial / "run.json").stat().st_mtime,
        "ended": (trial / "result.json").stat().st_mtime,
        "wall_s": json.loads((trial / "result.json").read_text())["wall_s"],
    }


def _tracking(folder: Path) -> list[str]:
    return ["--tracking-uri", f"sqlite:///{folder}/mlflow.db"]


def _rlx2(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "rlx2_ray", *arguments],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


if __name__ == "__main__":
    main()
