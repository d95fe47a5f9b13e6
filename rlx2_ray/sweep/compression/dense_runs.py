"""The dense runs of a compression: what each came to, whether it or an earlier compression measured it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.report.record.record import DenseSeed
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.search.ledger import DENSE_PAIR, Request
from rlx2_ray.sweep.compression.dense_cache import DenseCache
from rlx2_ray.sweep.compression.planner import name_of
from rlx2_ray.sweep.compression.random_policy import random_score
from rlx2_ray.types import Spaces


class DenseRuns:
    def __init__(self, config: ExperimentConfig, trials: Path, known: Iterable[DenseSeed] = ()) -> None:
        """
        Args:
            config: of the dense arm, with any seed.
            trials: holds the run directories.
            known: what this compression knew before it was interrupted, of which it takes what it had from the cache.
        """
        self.seeds = {each.seed: each for each in known if each.cached}  # by seed
        self._config = config
        self._cache = DenseCache(config)
        self._trials = trials

    @property
    def key(self) -> str:
        """The protocol's, as in the cache."""
        return self._cache.folder.name

    @property
    def cached(self) -> int:
        """How many of them an earlier compression measured."""
        return sum(each.cached for each in self.seeds.values())

    def recall(self, seed: int) -> DenseSeed | None:
        """Returns a run that need not be done; one that was begun here is not taken from the cache."""
        if seed not in self.seeds and not self._directory(seed).path.exists():
            known = self._cache.load(seed)
            if known is not None:
                self.seeds[seed] = known
        return self.seeds.get(seed)

    def keep(self, seed: int) -> None:
        """Keep what a run that has ended came to, if anything, for this and for later compressions."""
        if seed in self.seeds:
            return
        directory = self._directory(seed)
        result = directory.read_result()
        if result is not None:
            curve = tuple((point["env_steps"], point["return_mean"]) for point in directory.read_points())
            self.seeds[seed] = DenseSeed(seed, result["score"], curve, cached=False)
            self._cache.store(self.seeds[seed])

    def random(self, spaces: Spaces) -> float:
        """Returns the score of random actions."""
        known = self._cache.load_random()
        if known is None:
            known = random_score(self._config, spaces)
            self._cache.store_random(known)
        return known

    def _directory(self, seed: int) -> RunDirectory:
        return RunDirectory(self._trials / name_of(Request(*DENSE_PAIR, seed, "dense")))
