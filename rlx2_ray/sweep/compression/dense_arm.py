"""The dense runs of a compression: what each came to, whether it or an earlier compression measured it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.search.ledger import DENSE_PAIR, Request
from rlx2_ray.sweep.compression.dense_cache import DenseCache, Outcome
from rlx2_ray.sweep.compression.planner import name_of
from rlx2_ray.sweep.compression.random_policy import random_score
from rlx2_ray.types import Spaces


class DenseArm:
    def __init__(self, config: ExperimentConfig, trials: Path) -> None:
        """`config`: of the dense arm, with any seed; `trials` holds the run directories."""
        self.outcomes: dict[int, Outcome] = {}  # by seed
        self.cached: set[int] = set()  # seeds of those that an earlier compression measured
        self._config = config
        self._cache = DenseCache(config)
        self._trials = trials

    @property
    def key(self) -> str:
        """Of the protocol, as in the cache."""
        return self._cache.folder.name

    def remember(self, seeds: Iterable[Mapping[str, Any]]) -> None:
        """Those that this compression took from the cache before it was interrupted, as in its record."""
        for each in seeds:
            if each["cached"]:
                self._take(each["seed"], Outcome(each["score"], [(step, value) for step, value in each["curve"]]))

    def recall(self, seed: int) -> Outcome | None:
        """Of a run that need not be done; a run that this compression has begun is its own, whatever the cache has."""
        if seed not in self.outcomes and not self._directory(seed).path.exists():
            outcome = self._cache.load(seed)
            if outcome is not None:
                self._take(seed, outcome)
        return self.outcomes.get(seed)

    def keep(self, seed: int) -> None:
        """Keep the outcome of a run that has ended, if it came to one, for this and for later compressions."""
        if seed in self.outcomes:
            return
        directory = self._directory(seed)
        result = directory.read_result()
        if result is not None:
            curve = [(point["env_steps"], point["return_mean"]) for point in directory.read_points()]
            self.outcomes[seed] = Outcome(result["score"], curve)
            self._cache.store(seed, self.outcomes[seed])

    def random(self, spaces: Spaces) -> float:
        """The score of random actions."""
        known = self._cache.load_random()
        if known is None:
            known = random_score(self._config, spaces)
            self._cache.store_random(known)
        return known

    def _take(self, seed: int, outcome: Outcome) -> None:
        self.outcomes[seed] = outcome
        self.cached.add(seed)

    def _directory(self, seed: int) -> RunDirectory:
        return RunDirectory(self._trials / name_of(Request(*DENSE_PAIR, seed, "dense")))
