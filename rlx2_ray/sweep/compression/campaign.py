"""`rlx2 compress`: the smallest network that keeps the dense return, found by a search with seeds for every verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.report.record.file import to_content
from rlx2_ray.sweep.campaign import Campaign, Desk, Work
from rlx2_ray.sweep.compression.costs import Costs
from rlx2_ray.sweep.compression.dense_runs import DenseRuns
from rlx2_ray.sweep.compression.describe import DECISIONS_FILE, decisions_table
from rlx2_ray.sweep.compression.planner import CompressPlanner
from rlx2_ray.sweep.compression.policy import keep_policy
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.sweep.description.files import CompressDescription, compress_tree
from rlx2_ray.sweep.desk.sweep_directory import Result
from rlx2_ray.types import BadInput, Spaces


class Compression(Campaign):
    kind = "compress"

    def __init__(self, description: CompressDescription) -> None:
        self._description = description
        self._section = description.compress
        self._problem = Problem(description)

    @property
    def planner(self) -> CompressPlanner:
        return self._problem.planner

    @property
    def tree(self) -> Tree:
        return compress_tree(self._description)

    @property
    def examples(self) -> list[ExperimentConfig]:
        return [self._problem.dense, *self._problem.densest.values()]

    @property
    def max_concurrent(self) -> int | None:
        return self._section.max_concurrent

    @property
    def processes(self) -> int | None:
        return self._section.processes

    @property
    def most_trials(self) -> int:
        return self._problem.most_runs

    def kinds(self, spaces: Spaces) -> dict[str, tuple[ExperimentConfig, Spaces]]:
        sparse = {f"sparse {name}" if name else "sparse": config for name, config in self._problem.densest.items()}
        return {name: (config, spaces) for name, config in {"dense": self._problem.dense, **sparse}.items()}

    @property
    def budget(self) -> Budget:
        return self._section.budget

    @property
    def _dense_archive(self) -> Path | None:
        return Path(self._section.archive) if self._section.archive else None

    def check(self, spaces: Spaces) -> None:
        if self._dense_archive is not None and not self._dense_archive.is_dir():
            raise BadInput(
                f"compress.archive is {self._section.archive}, which is no directory: make it, or leave it out."
            )
        self._problem.check(spaces)

    def tell_again(self, desk: Desk) -> Result:
        record = desk.keeper.record
        if record.decisions:
            desk.tracker.log_table(DECISIONS_FILE, decisions_table(record.decisions))
        if record.ultimate is None or record.ultimate.trial is None:
            return {}
        desk.keeper.keep(replace(record, ultimate=keep_policy(desk, self._problem.dense, record.ultimate)))
        return {"ultimate": to_content(desk.keeper.record)["ultimate"]}

    def prepare(self, desk: Desk, spaces: Spaces) -> Work:
        from rlx2_ray.sweep.compression.work import CompressWork

        known = desk.keeper.record.dense
        section, seeds = self._section, known.seeds if known else ()
        runs = DenseRuns(self._problem.dense, desk.directory.trials, seeds, section.score, self._dense_archive)
        for seed in range(max(section.dense_seeds, section.max_dense_seeds)):
            runs.recall(seed)
        random = runs.random(spaces, desk.display.say)
        work = CompressWork(self._problem, desk, runs, random, Costs(self._problem, spaces, desk.directory.trials))
        work.announce(spaces)
        work.go_on()
        return work
