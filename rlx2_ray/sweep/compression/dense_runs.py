"""The dense runs of a compression: what each came to, whether it, an earlier compression or an archived run says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.experiment.random_policy import random_score
from rlx2_ray.report.record.record import DenseSeed
from rlx2_ray.runs import archive as archives
from rlx2_ray.runs import archived_run
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.parts import Point
from rlx2_ray.runs.scores import FINAL, ScoreName, deployed_of
from rlx2_ray.search.ledger import DENSE_PAIR, Request
from rlx2_ray.sweep.compression.dense_cache import DenseCache
from rlx2_ray.sweep.compression.planner import name_of
from rlx2_ray.types import Spaces

Curve = tuple[tuple[int, float], ...]


class DenseRuns:
    def __init__(
        self,
        config: ExperimentConfig,
        trials: Path,
        known: Iterable[DenseSeed] = (),
        score: ScoreName = FINAL,
        archive: Path | None = None,
    ) -> None:
        """
        Args:
            config: of the dense arm, with any seed.
            trials: holds the run directories.
            known: what this compression knew before it was interrupted, of which it takes what it had from elsewhere.
            score: that decides; a run that does not have it is run again.
            archive: of finished runs.
        """
        before = {each.seed: each for each in known if each.cached}
        self.seeds = {seed: each for seed, each in before.items() if each.by(score) is not None}
        self.lacking = before.keys() - self.seeds.keys()  # seeds whose known run does not have the score that decides
        self._config = config
        self._cache = DenseCache(config)
        self._trials = trials
        self._score: ScoreName = score
        self._archive = archive

    @property
    def key(self) -> str:
        """The protocol's, as in the cache."""
        return self._cache.folder.name

    @property
    def known(self) -> list[int]:
        """The seeds of those that were measured before."""
        return sorted(seed for seed, each in self.seeds.items() if each.cached)

    @property
    def cached(self) -> int:
        return len(self.known)

    def recall(self, seed: int) -> DenseSeed | None:
        """Returns a run that need not be done; one that was begun here is not taken from elsewhere."""
        if seed not in self.seeds and not self._directory(seed).path.exists():
            found = [each for each in (self._cache.load(seed), self._archived(seed)) if each is not None]
            known = next((each for each in found if each.by(self._score) is not None), None)
            if known is not None:
                self.seeds[seed] = known
            elif found:
                self.lacking.add(seed)
        return self.seeds.get(seed)

    def _archived(self, seed: int) -> DenseSeed | None:
        """Returns the archived run with this seed; raises BadInput where a file of its task cannot be read."""
        config = self._config.model_copy(update={"seed": seed})
        file = archives.find(config, self._archive) if self._archive else None
        run = archived_run.read(file) if file else None
        if file is None or run is None or run.result.get("ended_early"):
            return None
        played = deployed_of(run.result)
        return DenseSeed(seed, float(run.result["score"]), _curve(run.points), True, played, file.name)

    def keep(self, seed: int) -> None:
        """Keep what a run that has ended came to, if anything, for this and for later compressions."""
        if seed in self.seeds:
            return
        directory = self._directory(seed)
        result = directory.read_result()
        if result is not None:
            curve = _curve(directory.read_points())
            self.seeds[seed] = DenseSeed(seed, result["score"], curve, cached=False, deployed=deployed_of(result))
            self._cache.store(self.seeds[seed])

    def random(self, spaces: Spaces, warn: Callable[[str], None]) -> float:
        """Returns the score of random actions; `warn` is told where their episodes are cut now."""
        known = self._cache.load_random()
        if known is None:
            known = random_score(self._config, spaces, warn)
            self._cache.store_random(known)
        return known

    def _directory(self, seed: int) -> RunDirectory:
        return RunDirectory(self._trials / name_of(Request(*DENSE_PAIR, seed, "dense")))


def _curve(points: Iterable[Point]) -> Curve:
    return tuple((point["env_steps"], point["return_mean"]) for point in points)
