"""The shards as one replay, seen from the driver: sizes, the capacity rule over the union, and snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import ReplayActor
from rlx2_ray.distributed.union import evictions, oldest_of_union
from rlx2_ray.experiment.capacity_check import count_to_drop
from rlx2_ray.networks.policy import Policy
from rlx2_ray.replay.capacity import CHECKED_TRANSITIONS, policy_distance
from rlx2_ray.types import Spaces


class ShardedReplay:
    """Lane l lives on shard l % S. `sizes` are those that the shards last reported."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces) -> None:
        runtime = config.runtime
        self._config = config.replay
        lanes = runtime.rollout_actors * runtime.envs_per_rollout
        self.shards = [
            ReplayActor(config, spaces, range(shard, lanes, runtime.replay_shards), lanes)
            for shard in range(runtime.replay_shards)
        ]
        self.sizes = [0] * runtime.replay_shards

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def note_sizes(self, sizes: Mapping[int, int]) -> None:
        for shard, size in sizes.items():
            self.sizes[shard] = size

    def check_capacity(self, policy: Policy) -> float:
        """As `experiment.capacity_check`, over the union: returns the policy distance of its oldest transitions."""
        parts = actors.get([shard.oldest_later(CHECKED_TRANSITIONS) for shard in self.shards])
        observations, policy_actions = oldest_of_union(parts, CHECKED_TRANSITIONS)
        distance = policy_distance(policy.action(observations), policy_actions)
        count = count_to_drop(distance, self.size, self._config)
        if count:
            self._evict_oldest(count)
        return distance

    def _evict_oldest(self, count: int) -> None:
        times = actors.get([shard.oldest_times_later(count) for shard in self.shards])
        counts = evictions(times, count)
        self.sizes = actors.get(
            [shard.evict_oldest_later(part) for shard, part in zip(self.shards, counts, strict=True)]
        )

    def save(self, directory: Path, previous: Path | None) -> None:
        actors.get(
            [
                shard.save_later(directory / _name(index), previous / _name(index) if previous else None)
                for index, shard in enumerate(self.shards)
            ]
        )

    def load(self, directory: Path) -> None:
        """Raises ValueError or OSError where a snapshot is damaged or missing."""
        self.sizes = actors.get([shard.load_later(directory / _name(index)) for index, shard in enumerate(self.shards)])


def _name(shard: int) -> str:
    return f"shard{shard}"
