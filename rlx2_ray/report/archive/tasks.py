"""The records of an archive: its runs grouped by task, so that those of a record can be compared with each other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.report.archive.comparison import PAPER_HIDDEN, has_pair, place
from rlx2_ray.report.archive.task_changes import task_changes
from rlx2_ray.report.record.directory import series_of
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.archive import list_runs, read_named
from rlx2_ray.runs.archived_run import ArchivedRun
from rlx2_ray.runs.result import c_bytes_of
from rlx2_ray.runs.scores import deployed_of
from rlx2_ray.types import BadInput

PROTOCOL = {
    "% of dense": "R = (arm - random) / (dense - random), each the interquartile mean over seeds of the scores, of one "
    "task; random: what uniformly random actions score; nothing is stated where that is not known, or dense is no "
    "measure",
    "intervals": "95 %, percentile bootstrap over seeds, of both arms where it is of a ratio",
    "P(R ≥ 0.97)": "in how many of the bootstrap's draws the arm keeps at least 97 % of dense",
}


class Archive(NamedTuple):
    folder: Path
    records: tuple[Record, ...]  # one a task, by environment and algorithm

    @property
    def runs(self) -> int:
        return sum(len(record.trials) for record in self.records)


class Named(NamedTuple):
    name: str  # of its file
    run: ArchivedRun


def read_archive(folder: Path) -> Archive:
    """Returns the runs of a folder by task. Raises BadInput where there is none, or a file is damaged."""
    files = list_runs(folder)
    if not files:
        raise BadInput(f"{folder} holds no archived run: add some with 'rlx2 archive DIR --into {folder}'.")
    tasks: dict[str, list[Named]] = {}
    for file in files:
        named = Named(file.stem, read_named(file))
        tasks.setdefault(_task_key(named.run.config), []).append(named)
    names = _names([runs[0].run.config for runs in tasks.values()])
    records = [_record(name, folder, runs) for name, runs in zip(names, tasks.values(), strict=True)]
    return Archive(folder, tuple(sorted(records, key=lambda record: record.name)))


def _task_key(config: ExperimentConfig) -> str:
    """What runs have to share to be compared: environment, algorithm, length, how they are evaluated, and widths."""
    shared = (config.env.model_dump(), config.algo, config.steps, config.evaluation.model_dump(), config.network.hidden)
    return json.dumps(shared, sort_keys=True)


def _names(configs: Sequence[ExperimentConfig]) -> list[str]:
    """Of tasks, by one configuration each: as much as tells them apart."""
    short = [f"{config.env.id}, {config.algo.upper()}, {_steps(config.steps)} env steps" for config in configs]
    longer = [name + _width(config) for name, config in zip(short, configs, strict=True)]
    return [
        name if longer.count(name) == 1 else f"{name}, {_evaluation(config)}"
        for name, config in zip(longer, configs, strict=True)
    ]


def _steps(steps: int) -> str:
    return f"{steps / 1e6:g} M" if steps >= 1_000_000 else f"{steps:,}"


def _width(config: ExperimentConfig) -> str:
    hidden = config.network.hidden
    return "" if hidden == PAPER_HIDDEN else f", {' x '.join(map(str, hidden))} units"


def _evaluation(config: ExperimentConfig) -> str:
    kwargs = f", {json.dumps(config.env.kwargs)}" if config.env.kwargs else ""
    return f"{config.evaluation.episodes} episodes every {config.evaluation.interval:,}{kwargs}"


def _record(name: str, folder: Path, runs: Sequence[Named]) -> Record:
    configs = [named.run.config for named in runs]
    changes = task_changes(configs)
    pairs = {(config.sparsity.policy, config.sparsity.critic) for config in configs if has_pair(config)}
    trials = [_trial(named, own, len(pairs) > 1) for named, own in zip(runs, changes.own, strict=True)]
    return Record(
        kind="task",
        name=name,
        state="finished",
        trials=tuple(sorted(trials, key=place)),
        versions=_versions([named.run.result for named in runs]),
        protocol={**PROTOCOL, **_settings(changes.shared)},
        source=str(folder),
    )


def _settings(shared: Tree) -> dict[str, str]:
    return {"other values than the defaults": ", ".join(f"{k} {v}" for k, v in shared.items())} if shared else {}


def _trial(named: Named, own: Tree, has_pairs: bool) -> Trial:
    config, result = named.run.config, named.run.result
    is_reference = config.method == "dense" and not own
    pair: Tree = {"sparsity.policy": config.sparsity.policy, "sparsity.critic": config.sparsity.critic}
    return Trial(
        name=named.name,
        state="finished",
        purpose="dense" if is_reference else "arm",
        config=config,
        changes=(pair if has_pairs and has_pair(config) else {}) | own,
        series=series_of(named.run.points),
        score=float(result["score"]),
        ended_early=bool(result.get("ended_early")),
        run_id=result.get("mlflow_run_id"),
        result=result,
        c_bytes=c_bytes_of(result),
        deployed=deployed_of(result),
    )


def _versions(results: Sequence[Tree]) -> dict[str, str]:
    """Of each package all that runs were made with."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for package, version in result.get("versions", {}).items():
            found.setdefault(package, {})[version] = None
    return {package: " or ".join(versions) for package, versions in found.items()}
