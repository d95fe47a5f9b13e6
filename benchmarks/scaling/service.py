"""How long each actor is busy with what it does, measured one by one: in this process, and what Ray adds.

Core time, not wall time, wherever nobody is waited for, so that other work on the machine disturbs it little.
"""

from __future__ import annotations

import itertools
import pickle
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ray

from benchmarks.scaling.tasks import TASKS, make_config
from benchmarks.speed.common import Task
from rlx2_ray.bench.experience import Experience
from rlx2_ray.bench.processes import actor_processes, cpu_s
from rlx2_ray.bench.replay_shards import Ready
from rlx2_ray.bench.timing import ROUND_S, ROUNDS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import Crew, ReplayActor
from rlx2_ray.distributed.batch_stream import BatchStream
from rlx2_ray.distributed.cluster import own_ray
from rlx2_ray.distributed.learner_worker import LearnerWorker
from rlx2_ray.distributed.replay_shard import ReplayShard, ShardStatus
from rlx2_ray.distributed.rollout_worker import Collected, RolloutWorker
from rlx2_ray.distributed.supervisor import CALL_STEPS, CALL_UPDATES, TICK_S
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.replay.chunk import ChunkLayout
from rlx2_ray.types import Floats, Fragment, Spaces

STORED = 20_000  # transitions in a shard
INSERTS, CHUNKS, LOOPS = 600, 40, 1_500  # over Ray, on the clock
TASK_COUNTS = (1, 4, 16, 64, 250, 1000)  # calls in progress

Figures = dict[str, Any]


def measure() -> Figures:
    tasks = [measure_task(task) for task in TASKS]
    with own_ray(1 + len(TASKS)):
        calls = measure_calls()
        tasks = [figures | measure_shard_actor(figures) for figures in tasks]
    return {"tasks": tasks, "calls": calls}


# In this process


class NoShard:
    """Takes what a rollout sends, and costs nothing."""

    def insert(self, fragments: Sequence[Fragment], horizon: int) -> ShardStatus:
        return ShardStatus("", 0, 0, 0)


class OneChunk:
    """Answers every request with what the first one was answered with."""

    def __init__(self, shard: ReplayShard) -> None:
        self._shard = shard
        self._chunk: Floats | None = None
        self.batches_per_chunk = 0

    def sample(self, counts: list[int], n_step: int, every_step: bool) -> Ready:
        if self._chunk is None:
            self._chunk = self._shard.sample(counts, n_step, every_step)
            self.batches_per_chunk = len(counts)
        return Ready(self._chunk)


def measure_task(task: Task) -> Figures:
    """Microseconds and bytes; of a fresh policy, so episodes are short and resets many."""
    config = make_config(task)
    spaces = probe_spaces(config.env)
    shard, learner = OneChunk(filled_shard(config, spaces)), LearnerWorker(config, spaces)
    learner.connect([shard])
    stream = BatchStream(config, spaces, [shard], 0, np.random.default_rng(0))
    layers, versions = learner.policy_weights(), itertools.count()
    rollout = RolloutWorker(config, [0], {0: NoShard()}, 0)
    times = core_times(
        {
            "new policy": lambda: rollout._update_policy(next(versions), layers),
            "collect": lambda: rollout.collect(CALL_STEPS, 0, rollout._version, layers),
            "many updates": lambda: learner.learn(CALL_UPDATES, [STORED]),
            "two updates": lambda: learner.learn(2, [STORED]),
            "many batches": lambda: [stream.next([STORED]) for _ in range(CALL_UPDATES)],
        }
    )
    with_batch_us = (times["many updates"] - times["two updates"]) / (CALL_UPDATES - 2)
    return {
        "task": task._asdict(),
        "env_step_us": times["collect"] / CALL_STEPS,
        "new_policy_us": times["new policy"],
        "update_us": with_batch_us - times["many batches"] / CALL_UPDATES,
        "learn_call_us": max(0.0, times["two updates"] - 2 * with_batch_us),
        "weights_bytes": len(pickle.dumps(layers, protocol=5)),
        "batches_per_chunk": shard.batches_per_chunk,
        "batch_bytes": ChunkLayout(*spaces[:2], config.target.n_step, False).batch_bytes(config.agent.batch_size),
    }


def core_times(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds of a core that a call takes in this thread; medians of rounds in which each has its turn."""
    counts = {}
    for name, call in calls.items():
        call()
        counts[name] = max(1, round(ROUND_S / thread_s(call, 3)))
    rounds = [{name: thread_s(call, counts[name]) for name, call in calls.items()} for _ in range(ROUNDS)]
    return {name: 1e6 * statistics.median(one[name] for one in rounds) for name in calls}


def thread_s(call: Callable[[], object], count: int) -> float:
    begin = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - begin) / count


def filled_shard(config: ExperimentConfig, spaces: Spaces) -> ReplayShard:
    shard, experience = ReplayShard(config, spaces, 0, Path("none")), Experience(spaces, [0])
    while shard.status().size < STORED:
        shard.insert([experience.next(CALL_STEPS)], 0)
    return shard


# What Ray adds


class Cost(NamedTuple):
    """Microseconds of one call."""

    wall: float
    caller: float  # of a core, by the thread that calls; waiting is not counted
    actor: float  # of a core, by the actor's process


def cost(call: Callable[[], object], count: int, actor_process: int) -> Cost:
    call()
    begin = time.perf_counter(), time.thread_time(), cpu_s(actor_process)
    for _ in range(count):
        call()
    end = time.perf_counter(), time.thread_time(), cpu_s(actor_process)
    return Cost(*(1e6 * (after - before) / count for before, after in zip(begin, end, strict=True)))


class IdleRollout:
    """Takes and gives what a rollout does, and does nothing."""

    def collect(self, steps: int, time: int, version: int, weights: PolicyWeights) -> Collected:
        return Collected(steps, {0: NoShard().insert([], 0)})

    def give(self, layers: PolicyWeights) -> PolicyWeights:
        return layers


def measure_calls() -> Figures:
    """Of calls with Hopper's weights that do nothing; and the driver's loop over them."""
    config = make_config(TASKS[1])
    actor = ray.remote(num_cpus=1)(IdleRollout).remote()
    layers = LearnerWorker(config, probe_spaces(config.env)).policy_weights()
    weights = actor.give.remote(layers)  # a small result, which is sent on with each call, as the learner's are

    def start() -> Any:
        return actor.collect.remote(CALL_STEPS, 0, 0, weights)

    actors.get(start())
    (process,) = actor_processes(IdleRollout)
    one = cost(lambda: actors.get(start()), LOOPS, process)
    driver = [{"tasks": count, **measure_driver(start, count)} for count in TASK_COUNTS]
    return {"round_trip_us": one.wall, "actor_us": one.actor, "driver": driver}


def measure_driver(start: Callable[[], Any], count: int) -> Figures:
    """The supervisor's loop, with `count` calls in progress: wait for some, take them in, start others."""
    tasks = {start(): "rollout" for _ in range(count)}
    loops, done, waiting_s = 0, 0, 0.0
    begin = time.perf_counter(), time.process_time()
    while done < LOOPS:
        waiting = time.thread_time()
        sum(kind == "evaluator" for kind in tasks.values())
        ready = actors.wait_for_some(list(tasks), TICK_S)
        waiting_s += time.thread_time() - waiting
        for reference in ready:
            kind = tasks.pop(reference)
            actors.get(reference)
            tasks[start()] = kind
        loops, done = loops + 1, done + len(ready)
    wall_s, cpu_s = (
        after - before for before, after in zip(begin, (time.perf_counter(), time.process_time()), strict=True)
    )
    actors.get(list(tasks))
    return {
        "wall_us": 1e6 * wall_s / done,  # of a call
        "wait_us": 1e6 * waiting_s / loops,  # of a core, to wait once
        "call_us": 1e6 * (cpu_s - waiting_s) / done,  # of a core, all else, for a call
    }


def measure_shard_actor(figures: Figures) -> Figures:
    """Of an insert, and of a batch: the caller who waits, and the shard."""
    config = make_config(Task(**figures["task"]))
    spaces = probe_spaces(config.env)
    before, experience = actor_processes(ReplayShard), Experience(spaces, [0])
    shard = ReplayActor(Crew(), config, spaces, 0, Path("none"), None)
    actors.get(shard.status_later())
    (process,) = actor_processes(ReplayShard) - before
    insert = cost(lambda: shard.insert([experience.next(CALL_STEPS)], 0), INSERTS, process)
    stream = BatchStream(config, spaces, [shard], 0, np.random.default_rng(0))
    batches = CHUNKS * figures["batches_per_chunk"]
    batch = cost(lambda: stream.next([INSERTS * CALL_STEPS]), batches, process)
    return {
        "insert_us": insert.wall,
        "insert_shard_us": insert.actor,
        "receive_us": batch.caller,
        "sample_shard_us": batch.actor,
    }
