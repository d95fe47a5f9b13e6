"""One run of a record, and its metrics over time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.runs.scores import DEPLOYED, ScoreName

RETURN = "return_mean"
RECENT = 5  # evaluations that say where an unfinished run stands
STATES = ("running", "finished", "interrupted", "failed")  # of a trial, and of a record


class Series(NamedTuple):
    """A metric over time, by env step; NaN where it was not finite."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def latest(self) -> float:
        return self.values[-1] if self.values else math.nan


EMPTY = Series((), ())


class Trial(NamedTuple):
    """One run. `changes` are its values of the swept keys; `series` go by name: return_mean, replay/size, ..."""

    name: str
    state: str  # one of STATES
    purpose: str  # "trial" | "dense" | "search" | "confirm" | "arm": of an archive, and not its dense arm
    config: ExperimentConfig
    changes: Tree  # dotted key -> value, the seed left out
    series: Mapping[str, Series]
    score: float | None  # mean of the last evaluations; None: it is not done, nor was it stopped early
    ended_early: bool
    run_id: str | None = None  # MLflow's
    member: str = ""  # of a queue, that it is a trial of
    result: Tree = {}  # of an archived run: its result.json
    c_bytes: Mapping[str, int] = {}  # of its finished policy, by the keys of the result; empty: not known
    deployed: float | None = None  # its policy of the best evaluation, played again; None: it was not

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def policy_sparsity(self) -> float:
        return self.config.sparsity.policy

    @property
    def critic_sparsity(self) -> float:
        return self.config.sparsity.critic

    @property
    def returns(self) -> Series:
        return self.series.get(RETURN, EMPTY)

    @property
    def env_steps(self) -> int:
        """The env step of the latest evaluation."""
        return self.returns.steps[-1] if self.returns.steps else 0

    @property
    def planned_steps(self) -> int:
        return self.config.steps

    @property
    def progress(self) -> float:
        """The fraction of its work that is done, in [0, 1]."""
        return 1.0 if self.state == "finished" else min(1.0, self.env_steps / self.planned_steps)

    def by(self, name: ScoreName) -> float | None:
        """Returns one of its two scores; None where it has none."""
        return self.deployed if name == DEPLOYED else self.score

    @property
    def score_so_far(self) -> float:
        """The score; of an unfinished run the mean of its last evaluations, NaN where there is none."""
        if self.score is not None:
            return self.score
        recent = self.returns.values[-RECENT:]
        return float(np.mean(recent)) if recent else math.nan
