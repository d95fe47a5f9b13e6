"""Shards without processes, as one replay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.distributed.union import oldest_of_union, time_after
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.types import Floats, Fragment, Indices
from tests.replay.streams import ACTION_SIZE, OBSERVATION_SIZE

LANES = 5
EVERYTHING = 10**6  # transitions


def make_buffer(lanes: Sequence[int], capacity: int = EVERYTHING, seed: int = 0) -> ReplayBuffer:
    return ReplayBuffer(OBSERVATION_SIZE, ACTION_SIZE, lanes, capacity, np.random.default_rng(seed))


class LocalUnion:
    """What `ShardedReplay` and the rollouts do together."""

    def __init__(self, shards: int, capacity: int) -> None:
        self.shards = [make_buffer(range(shard, LANES, shards), capacity, shard) for shard in range(shards)]
        self.capacity = capacity
        self.time = 0

    @property
    def sizes(self) -> list[int]:
        return [shard.size for shard in self.shards]

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def insert(self, fragment: Fragment) -> None:
        self.shards[fragment.lane % len(self.shards)].insert(fragment)
        self.time = max(self.time, fragment.time + len(fragment.rewards))
        self.evict_before(self.time - self.capacity)

    def oldest(self, count: int) -> tuple[Floats, Floats, Indices]:
        return oldest_of_union([shard.oldest(count) for shard in self.shards], count)

    def evict_oldest(self, count: int) -> None:
        self.evict_before(time_after([shard.oldest(count)[2] for shard in self.shards], count))

    def evict_before(self, time: int) -> None:
        for shard in self.shards:
            shard.evict_before(time)
