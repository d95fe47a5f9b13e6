"""The shards as one replay, seen from the driver: sizes, what is oldest, forgetting, and snapshots.

What is forgotten is always what is older than one moment, the same for every shard: beyond the capacity, and by the
capacity rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import ReplayActor
from rlx2_ray.distributed.replay_shard import ShardStatus
from rlx2_ray.distributed.union import oldest_of_union, time_after
from rlx2_ray.types import Floats, Indices, Spaces


class ShardLoss(NamedTuple):
    """What was lost with a shard that died and came back."""

    shard: int
    transitions: int  # that it no longer has, as far as the driver knew of them


class ShardedReplay:
    """All shards of a run; lane l lives on shard l % S. `sizes` are those that the shards last reported.

    Paths may be relative to this process's working directory, which need not be the actors'.
    """

    def __init__(self, config: ExperimentConfig, spaces: Spaces, checkpoints: Path, node: str | None) -> None:
        checkpoints = checkpoints.absolute()
        self.shards = [
            ReplayActor(config, spaces, shard, checkpoints, node) for shard in range(config.runtime.replay_shards)
        ]
        self._statuses = actors.get([shard.status_later() for shard in self.shards])
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
        self.note(dict(enumerate(actors.get([shard.status_later() for shard in self.shards]))))

    def take_losses(self) -> list[ShardLoss]:
        """Return the losses since the last call."""
        losses, self._losses = self._losses, []
        return losses

    def oldest(self, count: int) -> tuple[Floats, Floats, Indices]:
        """As one buffer: the observations, policy actions and times of the min(count, size) oldest transitions."""
        return oldest_of_union(actors.get([shard.oldest_later(count) for shard in self.shards]), count)

    def evict_oldest(self, count: int) -> None:
        times = actors.get([shard.oldest_times_later(count) for shard in self.shards])
        self.evict_before(time_after(times, count))

    def evict_before(self, time: int) -> None:
        """Forget every transition older than `time`."""
        self.note(dict(enumerate(actors.get([shard.evict_before_later(time) for shard in self.shards]))))

    def save(self, directory: Path, previous: Path | None) -> None:
        directory, previous = directory.absolute(), previous.absolute() if previous else None
        actors.get([shard.save_later(directory / f"shard{k}", previous) for k, shard in enumerate(self.shards)])

    def load(self, directory: Path) -> None:
        """Take over what any number of shards saved. Raises ValueError or OSError where it is damaged or missing."""
        self._statuses = actors.get([shard.load_later(directory.absolute()) for shard in self.shards])
