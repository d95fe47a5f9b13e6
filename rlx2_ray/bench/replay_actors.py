"""The same shards as Ray actors, and one caller: what arrives there, and what memory the processes take."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rlx2_ray.bench.experience import FRAGMENT_STEPS, Experience
from rlx2_ray.bench.processes import actor_processes, read_process
from rlx2_ray.bench.replay_shards import SHARDS, LocalFigures, Setting, make_stream, time_batches
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import Crew, ReplayActor
from rlx2_ray.distributed.cluster import own_ray
from rlx2_ray.distributed.replay_shard import ReplayShard


class OnRay(NamedTuple):
    by_shards: list[dict[str, Any]]  # one for each of `SHARDS`
    caller: dict[str, float]  # its memory


class Shards(NamedTuple):
    """The actors of a replay, which have loaded a snapshot."""

    actors: list[ReplayActor]
    sizes: list[int]
    load_s: float
    processes: set[int]


def measure_on_ray(setting: Setting, local: LocalFigures) -> OnRay:
    """Measures at the caller, who waits for each insert and has two chunks in flight."""
    with own_ray(sum(SHARDS)):
        sets = [start_shards(setting, count, local) for count in SHARDS]
        inserts = [insert_call(setting, one.actors, copy.deepcopy(local.experience)) for one in sets]
        insert_us = time_calls(inserts)
        streams = [make_stream(setting, one.actors, one.sizes) for one in sets]
        batch_us = time_batches(streams, local.batches_per_chunk)
        by_shards = [
            {
                "actors_load_s": one.load_s,
                "insert_calls_per_s": 1e6 / call,
                "insert_transitions_per_s": 1e6 / call * FRAGMENT_STEPS,
                "chunks_per_s": 1e6 / batch / local.batches_per_chunk,
                "batches_per_s": 1e6 / batch,
                **memory(one.processes),
            }
            for one, call, batch in zip(sets, insert_us, batch_us, strict=True)
        ]
        return OnRay(by_shards, memory({os.getpid()}))


def start_shards(setting: Setting, count: int, local: LocalFigures) -> Shards:
    config, before = setting.with_shards(count), actor_processes(ReplayShard)
    shards = [
        ReplayActor(Crew(), config, setting.spaces, number, local.saved / "none", None) for number in range(count)
    ]
    actors.get([shard.status_later() for shard in shards])
    started = time.perf_counter()
    statuses = actors.get([shard.load_later(local.saved) for shard in shards])
    load_s = time.perf_counter() - started
    return Shards(shards, [status.size for status in statuses], load_s, actor_processes(ReplayShard) - before)


def insert_call(setting: Setting, shards: Sequence[ReplayActor], experience: Experience) -> Callable[[], object]:
    """Returns what sends a fragment to the shard of its lane and waits until it is stored."""

    def insert() -> None:
        fragment = experience.next()
        shards[fragment.lane % len(shards)].insert([fragment], experience.time - setting.transitions)

    return insert


def time_calls(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Returns the microseconds of each call."""
    timings = time_in_turns({str(index): call for index, call in enumerate(calls)})
    return [timing.microseconds for timing in timings.calls.values()]


def memory(processes: set[int]) -> dict[str, float]:
    """Returns the bytes of one process, as means."""
    found = [process for pid in processes if (process := read_process(pid)) is not None]
    return {
        "rss_bytes": sum(process.rss_bytes for process in found) / len(found),
        "pss_bytes": sum(process.pss_bytes for process in found) / len(found),
    }
