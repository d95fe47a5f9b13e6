"""Replay: inserting, sampling, memory and snapshots, beside a flat ring in numpy; in one process, then over Ray.

Buffers are full when the clock starts, so that what is inserted pushes out what is oldest.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.bench.experience import FRAGMENT_STEPS, Experience
from rlx2_ray.bench.flat_buffer import FlatBuffer
from rlx2_ray.bench.replay_shards import Setting, measure_shards
from rlx2_ray.bench.timing import Timings, time_in_turns
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.cluster import prepare_environment
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.types import Spaces


def bench_replay(config: ExperimentConfig, spaces: Spaces, transitions: int) -> dict[str, Any]:
    """For buffers of `transitions`. Windows have the configured length, where nothing else is said."""
    setting = Setting(config, spaces, transitions)
    content = {
        "transitions": transitions,
        "batch_size": config.agent.batch_size,
        "n_step": config.target.n_step,
        **measure_inline(setting),
    }
    with tempfile.TemporaryDirectory(prefix="rlx2-bench-") as folder:
        local = measure_shards(setting, Path(folder))
        prepare_environment()
        from rlx2_ray.bench.replay_actors import measure_on_ray

        on_ray = measure_on_ray(setting, local)
    shards = [{**here, **there} for here, there in zip(local.by_shards, on_ray.by_shards, strict=True)]
    return {**content, **local.figures, "shards": shards, "caller": on_ray.caller}


def measure_inline(setting: Setting) -> dict[str, Any]:
    """Of one lane, as an inline run has by default: times (making the fragments included), and bytes a transition."""
    sizes, capacity = setting.spaces[:2], setting.transitions
    experience = Experience(setting.spaces, [0])
    ours = ReplayBuffer(*sizes, [0], capacity, np.random.default_rng(0))
    flat = FlatBuffer(*sizes, capacity, np.random.default_rng(0))
    while flat.size < capacity:
        fragment = experience.next()
        ours.insert(fragment)
        flat.insert(fragment)
    memory = buffer_bytes(ours)
    samples = time_samples(ours, flat, setting.config)
    inserts = time_in_turns(
        {
            "fragments": lambda: ours.insert(experience.next()),
            "singles": lambda: ours.insert(experience.next(1)),
            "flat": lambda: flat.insert(experience.next(1)),
        },
        FRAGMENT_STEPS,
    )
    return {
        "insert_us": inserts.calls["fragments"].microseconds / FRAGMENT_STEPS,
        "insert_single_us": inserts.calls["singles"].microseconds,
        "flat_insert_single_us": inserts.calls["flat"].microseconds,
        "sample_us": samples.calls["windows"].microseconds,
        "sample_1_step_us": samples.calls["1 step"].microseconds,
        "flat_sample_us": samples.calls["flat"].microseconds,
        "ratio_vs_flat": samples.ratio("flat", "1 step"),
        "insert_ratio_vs_flat": inserts.ratio("flat", "singles"),
        "memory_bytes": memory.allocated / ours.size,
        "used_memory_bytes": memory.used / ours.size,
        "flat_memory_bytes": flat.bytes_per_transition,
        "spread": {name: timing.spread for name, timing in {**inserts.calls, **samples.calls}.items()},
    }


def time_samples(ours: ReplayBuffer, flat: FlatBuffer, config: ExperimentConfig) -> Timings:
    size, every_step = config.agent.batch_size, ALGORITHMS[config.algo].needs_every_step
    return time_in_turns(
        {
            "windows": partial(ours.sample, size, config.target.n_step, every_step),
            "1 step": partial(ours.sample, size, 1, every_step),
            "flat": partial(flat.sample, size),
        }
    )


class Memory(NamedTuple):
    """Bytes."""

    allocated: int  # that the rings have, with room to grow
    used: int  # of it, by live rows


def buffer_bytes(buffer: ReplayBuffer) -> Memory:
    allocated = used = 0
    for lane in buffer.lanes.values():
        columns = lane.columns
        arrays: list[NDArray[Any]] = [lane.packed, columns.policy_action, columns.flag, columns.time]
        ring = sum(array.nbytes for array in arrays)
        allocated += ring
        used += ring * (lane.head + lane.is_open - lane.tail) // lane.rows
    return Memory(allocated, used)
