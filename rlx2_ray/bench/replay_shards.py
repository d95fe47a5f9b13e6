"""Shards of the replay in this process: inserting, sampling, joining, and snapshots as a checkpoint writes them."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlx2_ray.bench.experience import FRAGMENT_STEPS, Experience
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.config import ExperimentConfig, merge, resolve
from rlx2_ray.distributed.batch_stream import BatchStream, Sampler
from rlx2_ray.distributed.replay_shard import ReplayShard
from rlx2_ray.runs.checkpoint import REPLAY, save_checkpoint
from rlx2_ray.types import Floats, Spaces

LANES = 4  # of as many rollouts
SHARDS = (1, 4)
INSERTED_BETWEEN = 10_000  # transitions, between two snapshots


class Setting(NamedTuple):
    config: ExperimentConfig
    spaces: Spaces
    transitions: int  # of all shards together

    def with_shards(self, shards: int) -> ExperimentConfig:
        """Returns the setting for so many shards, with windows of their full length from the first update on."""
        minimum = min(self.transitions, self.config.replay.min_capacity)
        changes = {
            "target": {"n_step_start": 0},
            "replay": {"max_capacity": self.transitions, "min_capacity": minimum},
            "runtime": {"rollout_actors": LANES, "envs_per_rollout": 1, "replay_shards": shards},
        }
        return resolve(merge(self.config.model_dump(), changes))


class LocalShard:
    """A shard without a process of its own, as the learner sees it."""

    def __init__(self, shard: ReplayShard) -> None:
        self.shard = shard
        self.batches_per_chunk = 0  # of the latest

    def sample(self, counts: list[int], n_step: int, every_step: bool) -> Ready:
        self.batches_per_chunk = len(counts)
        return Ready(self.shard.sample(counts, n_step, every_step))


class Ready(NamedTuple):
    """A part of a chunk that is there already."""

    chunk: Floats | None

    def get(self) -> Floats | None:
        return self.chunk


class LocalFigures(NamedTuple):
    figures: dict[str, Any]
    by_shards: list[dict[str, Any]]  # one for each of `SHARDS`
    batches_per_chunk: int
    saved: Path  # the replay of a checkpoint
    experience: Experience  # as it was when that was written


def measure_shards(setting: Setting, checkpoints: Path) -> LocalFigures:
    """Measures µs of inserting, and of sampling and joining; seconds and bytes of snapshots in `checkpoints`."""
    experience = Experience(setting.spaces, range(LANES))
    shard = ReplayShard(setting.with_shards(1), setting.spaces, 0, checkpoints)

    def insert() -> None:
        shard.insert([experience.next()], experience.time - setting.transitions)

    while shard.status().inserted < setting.transitions:
        insert()
    first = save(shard, checkpoints, experience.time)
    while shard.status().inserted < setting.transitions + INSERTED_BETWEEN:
        insert()
    second = save(shard, checkpoints, experience.time)
    at_save = copy.deepcopy(experience)
    insert_us = time_in_turns({"insert": insert}).calls["insert"].microseconds / FRAGMENT_STEPS
    loaded = [load(setting, count, second.replay) for count in SHARDS]
    local = [[LocalShard(each) for each in one.shards] for one in loaded]
    streams = [make_stream(setting, these, [each.shard.status().size for each in these]) for these in local]
    batches_per_chunk = local[0][0].batches_per_chunk
    return LocalFigures(
        {
            "shard_insert_us": insert_us,
            "disk_bytes": first.bytes / setting.transitions,
            "save_s": first.seconds,
            "save_again_s": second.seconds,
            "batches_per_chunk": batches_per_chunk,
        },
        [
            {"shards": count, "load_s": one.seconds, "batch_us": batch_us}
            for count, one, batch_us in zip(SHARDS, loaded, time_batches(streams, batches_per_chunk), strict=True)
        ],
        batches_per_chunk,
        second.replay,
        at_save,
    )


class Saved(NamedTuple):
    seconds: float
    bytes: int  # on disk
    replay: Path


def save(shard: ReplayShard, checkpoints: Path, env_steps: int) -> Saved:
    """Saves a shard as a checkpoint does, until it is safe on disk."""

    def save_replay(directory: Path, previous: Path | None) -> None:
        shard.save(directory / "shard0", previous)

    started = time.perf_counter()
    replay = save_checkpoint(checkpoints, env_steps, {}, {}, save_replay, keep=2) / REPLAY
    seconds = time.perf_counter() - started
    return Saved(seconds, sum(path.stat().st_size for path in replay.rglob("*") if path.is_file()), replay)


class Loaded(NamedTuple):
    seconds: float
    shards: list[ReplayShard]


def load(setting: Setting, count: int, saved: Path) -> Loaded:
    """Loads a snapshot into `count` new shards, one after the other."""
    config = setting.with_shards(count)
    shards = [ReplayShard(config, setting.spaces, number, saved / "none") for number in range(count)]
    started = time.perf_counter()
    for shard in shards:
        shard.load(saved)
    return Loaded(time.perf_counter() - started, shards)


def make_stream(setting: Setting, shards: Sequence[Sampler], sizes: Sequence[int]) -> Callable[[], object]:
    """Returns what gives the learner's next batch."""
    config = setting.with_shards(len(shards))
    stream = BatchStream(config, setting.spaces, shards, 0, np.random.default_rng(0))
    stream.next(sizes)
    return partial(stream.next, sizes)


def time_batches(streams: Sequence[Callable[[], object]], batches_per_chunk: int) -> list[float]:
    """Returns microseconds a batch of each stream; whole chunks are timed."""
    timings = time_in_turns({str(index): stream for index, stream in enumerate(streams)}, batches_per_chunk)
    return [timing.microseconds for timing in timings.calls.values()]
