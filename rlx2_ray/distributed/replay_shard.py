"""A shard of the replay: some of the lanes, behind methods that take and give plain values.

A shard that was killed begins anew with what the newest checkpoint has of its lanes. Its callers' calls are made again
then, so every method may be called twice.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.replay import snapshot
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.chunk import sample_chunk
from rlx2_ray.runs.checkpoint import REPLAY, list_checkpoints
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Floats, Fragment, Indices, Spaces


class ShardStatus(NamedTuple):
    """What callers learn with every change. All counts are of transitions."""

    life: str  # differs for each process that has been this shard
    size: int
    inserted: int  # ever, as far as it is remembered
    remembered: int  # `inserted` when this life began


class ReplayShard:
    """The part of a replay that holds the lanes l with l % shards == shard."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces, shard: int, checkpoints: Path) -> None:
        self._config = config
        self._spaces = spaces
        self._shard = shard
        self._life = uuid.uuid4().hex
        self._buffer, self._remembered = self._make_buffer(), 0
        for checkpoint in reversed(list_checkpoints(checkpoints)):
            try:
                self.load(checkpoint / REPLAY)
                break
            except (ValueError, OSError):  # damaged, or just removed because there are newer ones
                continue

    def insert(self, fragments: Sequence[Fragment], horizon: int) -> ShardStatus:
        """Store fragments, then forget what is older than the time `horizon`."""
        for fragment in fragments:
            self._buffer.insert(fragment)
        return self.evict_before(horizon)

    def sample(self, counts: Sequence[int], n_step: int, every_step: bool) -> Floats | None:
        """Draw a chunk with `counts[b]` windows for each batch b, as `replay.chunk` says.

        None where nothing is stored.
        """
        return sample_chunk(self._buffer, counts, n_step, every_step) if self._buffer.size else None

    def oldest(self, count: int) -> tuple[Floats, Floats, Indices]:
        """Observations, policy actions and times of the oldest transitions."""
        return self._buffer.oldest(count)

    def oldest_times(self, count: int) -> Indices:
        return self._buffer.oldest(count)[2]

    def evict_before(self, time: int) -> ShardStatus:
        self._buffer.evict_before(time)
        return self.status()

    def status(self) -> ShardStatus:
        return ShardStatus(self._life, self._buffer.size, self._buffer.inserted, self._remembered)

    def save(self, directory: Path, previous: Path | None) -> None:
        """Write a snapshot into `directory`, which is this shard's alone; see `snapshot.save`."""
        shutil.rmtree(directory, ignore_errors=True)  # what an earlier life left half done
        snapshot.save(self._buffer, directory, previous)

    def load(self, root: Path) -> ShardStatus:
        """Replace the content by what the shards that saved below `root`, however many, had of this one's lanes.

        Raises ValueError or OSError, and keeps the content, where that is damaged or missing.
        """
        shards = self._config.runtime.replay_shards
        buffer = self._make_buffer()
        snapshot.load_lanes(buffer, root, lambda lane: lane % shards == self._shard)
        # Another life, another sequence of windows.
        buffer.generator = make_generator(self._config.seed, "replay", self._shard, buffer.inserted)
        self._buffer, self._remembered = buffer, buffer.inserted
        return self.status()

    def _make_buffer(self) -> ReplayBuffer:
        runtime = self._config.runtime
        lanes = range(self._shard, runtime.rollout_actors * runtime.envs_per_rollout, runtime.replay_shards)
        generator = make_generator(self._config.seed, "replay", self._shard, 0)
        sizes = self._spaces.observation_size, self._spaces.action_size
        return ReplayBuffer(*sizes, lanes, self._config.replay.max_capacity, generator)
