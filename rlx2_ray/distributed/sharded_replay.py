"""The shards as one replay, seen from the driver: sizes, what is oldest, forgetting, and snapshots.

What is forgotten is always what is older than one moment, the same for every shard: beyond the capacity, and by the
capacity rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.actors import Crew, Reference, ReplayActor
from rlx2_ray.distributed.patience import ANSWER_S, PLACE_S, Patience
from rlx2_ray.distributed.replay_shard import ShardStatus
from rlx2_ray.distributed.union import oldest_of_union, time_after
from rlx2_ray.types import Floats, Indices, Spaces

SHARDS = "replay shards"


class ShardLoss(NamedTuple):
    """What was lost with a shard that died and came back."""

    shard: int
    transitions: int  # that it no longer has, as far as the driver knew of them


class ShardedReplay:
    """All shards of a run; lane l lives on shard l % S. `sizes` are those that the shards last reported.

    Paths may be relative to this process's working directory, which need not be the actors'.
    """

    def __init__(
        self,
        crew: Crew,
        config: ExperimentConfig,
        spaces: Spaces,
        checkpoints: Path,
        node: str | None,
        patience: Patience,
    ) -> None:
        self._patience = patience
        checkpoints = checkpoints.absolute()
        self.shards = [
            ReplayActor(crew, config, spaces, shard, checkpoints, node) for shard in range(config.runtime.replay_shards)
        ]
        self._statuses = self._ask(ReplayActor.status_later, PLACE_S)
        self._past_lives: set[str] = set()
        self._losses: list[ShardLoss] = []

    @property
    def sizes(self) -> list[int]:
        return [status.size for status in self._statuses]

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def note(self, statuses: Mapping[int, ShardStatus]) -> None:
        """Take in what shards reported. That one was killed and came back shows here and nowhere else."""
        for shard, status in statuses.items():
            if status.life in self._past_lives:
                continue
            known = self._statuses[shard]
            if status.life != known.life:
                self._past_lives.add(known.life)
                self._losses.append(ShardLoss(shard, max(0, known.inserted - status.remembered)))
            self._statuses[shard] = status

    def refresh(self) -> None:
        """Ask every shard for its state."""
        self.note(dict(enumerate(self._ask(ReplayActor.status_later))))

    def take_losses(self) -> list[ShardLoss]:
        """Return the losses since the last call."""
        losses, self._losses = self._losses, []
        return losses

    def oldest(self, count: int) -> tuple[Floats, Floats, Indices]:
        """As one buffer: the observations, policy actions and times of the min(count, size) oldest transitions."""
        return oldest_of_union(self._ask(lambda shard: shard.oldest_later(count)), count)

    def evict_oldest(self, count: int) -> None:
        times = self._ask(lambda shard: shard.oldest_times_later(count))
        self.evict_before(time_after(times, count))

    def evict_before(self, time: int) -> None:
        """Forget every transition older than `time`."""
        self.note(dict(enumerate(self._ask(lambda shard: shard.evict_before_later(time)))))

    def save(self, directory: Path, previous: Path | None) -> None:
        directory, previous = directory.absolute(), previous.absolute() if previous else None
        saving = [shard.save_later(directory / f"shard{k}", previous) for k, shard in enumerate(self.shards)]
        self._patience.get(saving, SHARDS, stop_s=ANSWER_S)  # a large replay takes its time, and is to be saved

    def load(self, directory: Path) -> None:
        """Take over what any number of shards saved. Raises ValueError or OSError where it is damaged or missing."""
        self._statuses = self._ask(lambda shard: shard.load_later(directory.absolute()))

    def _ask(self, ask: Callable[[ReplayActor], Reference], limit_s: float = ANSWER_S) -> Any:
        """The answers of all shards."""
        return self._patience.get([ask(shard) for shard in self.shards], SHARDS, limit_s)
