"""A shard of the replay: some of the lanes, behind methods that take and give plain values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.replay import snapshot
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Batch, Floats, Fragment, Indices, Spaces


class ReplayShard:
    def __init__(self, config: ExperimentConfig, spaces: Spaces, lanes: Sequence[int], lanes_in_all: int) -> None:
        """The shard's part of the capacity goes with its part of the lanes."""
        shard_capacity = max(1, config.replay.max_capacity * len(lanes) // lanes_in_all)
        generator = make_generator(config.seed, "replay", *lanes)
        self._buffer = ReplayBuffer(spaces.observation_size, spaces.action_size, lanes, shard_capacity, generator)

    def insert(self, fragments: Sequence[Fragment]) -> int:
        """Store, and return the size."""
        for fragment in fragments:
            self._buffer.insert(fragment)
        return self._buffer.size

    def sample(self, windows: int, n_step: int, every_step: bool) -> Batch:
        return self._buffer.sample(windows, n_step, every_step)

    def oldest(self, count: int) -> tuple[Floats, Floats, Indices]:
        """Observations, policy actions and times of the oldest transitions."""
        return self._buffer.oldest(count)

    def oldest_times(self, count: int) -> Indices:
        return self._buffer.oldest(count)[2]

    def evict_oldest(self, count: int) -> int:
        """Forget, and return the size."""
        self._buffer.evict_oldest(count)
        return self._buffer.size

    def save(self, directory: str, previous: str | None) -> None:
        snapshot.save(self._buffer, Path(directory), Path(previous) if previous else None)

    def load(self, directory: str) -> int:
        """Replace the content, and return the size."""
        self._buffer = snapshot.load(Path(directory))
        return self._buffer.size
