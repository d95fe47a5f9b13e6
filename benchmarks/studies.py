"""The studies of learning: sweeps of `tune_configs/studies/`, and the reports that are made of their trials.

`make bench`, `bench-engines` and `bench-runtimes` each run the sweep of a study, or what is left of it, and then the
module of its name: `python -m benchmarks.STUDY DIR` keeps what the report needs of the sweep in DIR in
`results/STUDY.json`, and makes the report from there; without DIR it only makes the report.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

from benchmarks.places import ROOT
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory
from rlx2_ray.sweep.planner import INDEX, make_planner
from rlx2_ray.types import BadInput

matplotlib.use("Agg")
import matplotlib.pyplot as plt

RESULTS = ROOT / "results"

Result = dict[str, Any]


class Trial(NamedTuple):
    """One that has finished."""

    config: ExperimentConfig
    directory: RunDirectory
    result: Result


def read_results(
    study: str, keys: Collection[str], of_trials: Callable[[list[Trial]], Iterable[Result]]
) -> list[Result]:
    """What is kept of a study: these keys of the results, first written anew where the command line names its sweep."""
    parser = argparse.ArgumentParser(description=f"The report of the study {study}.")
    parser.add_argument("sweep", type=Path, nargs="?", help="directory of its sweep; without it, of what was kept")
    sweep, file = parser.parse_args().sweep, RESULTS / f"{study}.json"
    if sweep is not None:
        lines = [json.dumps({key: result[key] for key in keys}) for result in of_trials(read_trials(sweep))]
        file.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    results: list[Result] = json.loads(file.read_text())
    return results


def read_trials(sweep: Path) -> list[Trial]:
    """All trials of a sweep, in the order of its file. Raises SystemExit where one has not finished."""
    try:
        tree, _ = SweepDirectory(sweep).open()
        planner = make_planner(parse_queue(tree))
        plans = [planner.plan({INDEX: index}, "") for index in range(len(planner.samples))]
        return [_read_trial(sweep / "trials" / plan.name) for plan in plans]
    except BadInput as problem:
        raise SystemExit(str(problem)) from None


def _read_trial(path: Path) -> Trial:
    directory = RunDirectory(path)
    config, _ = directory.open()
    result = directory.read_result()
    if result is None:
        raise BadInput(f"{path} is not finished: 'rlx2 resume {path.parent.parent}' goes on.")
    return Trial(config, directory, result)


def select(results: Iterable[Result], **values: Any) -> list[Result]:
    """The results that have these values."""
    return [one for one in results if all(one[key] == value for key, value in values.items())]


def versions_of(results: list[Result]) -> str:
    """The versions that a study was made with, as words."""
    return ", ".join(f"{name} {version}" for name, version in results[0]["versions"].items())


def make_panels(**options: Any) -> tuple[plt.Figure, Any]:
    """A picture of two panels, side by side."""
    return plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", **options)


def draw_curves(
    axes: plt.Axes,
    runs: list[Result],
    color: Any,
    label: str,
    middle: Callable[..., Any] = np.mean,
    alpha: float = 0.12,
) -> None:
    """The middle of the seeds' learning curves, and the range of all of them."""
    steps, returns = curves_of(runs)
    axes.plot(steps, middle(returns, axis=0), color=color, label=label)
    axes.fill_between(steps, returns.min(axis=0), returns.max(axis=0), color=color, alpha=alpha, linewidth=0)


def curves_of(runs: list[Result]) -> tuple[list[int], np.ndarray]:
    """The env steps of the evaluations, (T,), and the returns of every seed, (n, T)."""
    steps = [point["env_steps"] for point in runs[0]["evaluations"]]
    return steps, np.array([[point["return_mean"] for point in one["evaluations"]] for one in runs])


def save(figure: plt.Figure, picture: Path) -> None:
    """Write a picture, the same bytes for the same picture."""
    figure.savefig(picture, dpi=110, metadata={"Software": None})
