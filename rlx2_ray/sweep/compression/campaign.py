"""`rlx2 compress`: the smallest network that keeps the dense return, found by a search with seeds for every verdict."""

from __future__ import annotations

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.sweep.campaign import Campaign, Desk, Work
from rlx2_ray.sweep.compression.dense_runs import DenseRuns
from rlx2_ray.sweep.compression.planner import CompressPlanner
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.sweep.description.files import CompressDescription, compress_tree
from rlx2_ray.types import Spaces


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
        return [self._problem.dense, self._problem.densest]

    @property
    def max_concurrent(self) -> int | None:
        return self._section.max_concurrent

    @property
    def budget(self) -> Budget:
        return self._section.budget

    def check(self, spaces: Spaces) -> None:
        self._problem.check(spaces)

    def prepare(self, desk: Desk, spaces: Spaces) -> Work:
        from rlx2_ray.sweep.compression.work import CompressWork

        known = desk.keeper.record.dense
        runs = DenseRuns(self._problem.dense, desk.directory.trials, known.seeds if known else ())
        for seed in range(self._section.dense_seeds):
            runs.recall(seed)
        work = CompressWork(self._problem, desk, runs, runs.random(spaces), self._problem.size_of(spaces))
        work.announce(spaces)
        return work
