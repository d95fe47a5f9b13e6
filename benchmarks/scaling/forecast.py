"""From service times to what saturates one learner, and to what breaks first: by arithmetic, and by simulation."""

from __future__ import annotations

import math
from typing import Any

from benchmarks.scaling.simulation import Shape, Times, simulate
from rlx2_ray.distributed.supervisor import CALL_STEPS, CALL_UPDATES

CORES = 2  # of the machine that the runs were made on
SHARD_BUSY = LEARNER_BUSY = 0.7  # at most, so that nobody waits long for them
SPREAD = 0.2  # of the time of a rollout's calls
ROBOT_STEPS_PER_S = 50
ROBOT_SIZES = "Ant-v5"  # of its networks: those of a robot with many joints
RATIOS = (1, 32)  # env steps for each update
CURVE = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # rollouts
SECONDS, CALLS = 30.0, 40  # simulated, at least: time, and calls of a rollout one after the other
MANY = 1_000  # rollouts
MANY_SHAPES = ((1, 4, 1), (1, 1, 1), (1, 4, 4), (2, 4, 1), (2, 4, 4), (4, 4, 1), (4, 4, 4))  # thousands, shards, lanes

Figures = dict[str, Any]


def forecast(service: Figures, runs: list[Figures]) -> Figures:
    times = {task["task"]["env"]: make_times(task, service["calls"]) for task in service["tasks"]}
    robot = times[ROBOT_SIZES]._replace(env_step=1 / ROBOT_STEPS_PER_S)
    arms = {**times, f"a robot simulator, {ROBOT_STEPS_PER_S} steps/s": robot}
    hopper = times["Hopper-v5"]
    return {
        "saturation": [
            {"name": name, **{str(ratio): saturation(these, ratio) for ratio in RATIOS}} for name, these in arms.items()
        ],
        "curves": {str(ratio): {name: curve(these, ratio) for name, these in arms.items()} for ratio in RATIOS},
        "two_cores": [
            outcome(hopper, Shape(run["rollouts"], run["shards"], cores=CORES, spread=SPREAD)) for run in runs
        ],
        "core_us_per_env_step": [core_us_per_env_step(hopper, run["shards"]) for run in runs],
        "many": many(robot),
    }


def make_times(task: Figures, calls: Figures) -> Times:
    """Seconds, from one task's service times and those of calls that do nothing; all in microseconds."""
    few, most = calls["driver"][0], calls["driver"][-1]
    driver_task = max(0.0, most["wait_us"] - few["wait_us"]) / (most["tasks"] - few["tasks"])
    driver_call = most["call_us"]  # as cheap as it gets: with few calls in progress, threads wake up for each
    chunk = task["batches_per_chunk"]
    microseconds = {
        "env_step": task["env_step_us"],
        "rollout_call": max(0.0, calls["round_trip_us"] - driver_call) + task["new_policy_us"],
        "insert_wait": max(0.0, task["insert_us"] - task["insert_shard_us"]),
        "shard_insert": max(0.0, task["insert_shard_us"] - calls["actor_us"]),
        "shard_call": calls["actor_us"],
        "shard_sample": max(0.0, task["sample_shard_us"] - calls["actor_us"] / chunk),
        "learner_call": calls["actor_us"] + task["learn_call_us"],
        "batch": task["receive_us"],
        "update": task["update_us"],
        "driver_call": driver_call,
        "driver_loop": few["wait_us"],
        "driver_task": driver_task,
    }
    return Times(**{name: 1e-6 * value for name, value in microseconds.items()}, batches_per_chunk=chunk)


def learner_rate(times: Times) -> float:
    """Updates a second, in full calls and with batches always there."""
    return 1 / (times.batch + times.update + times.learner_call / CALL_UPDATES)


def rollout_rate(times: Times) -> float:
    """Env steps a second of one rollout with one environment, on shards that have time for it."""
    insert = times.insert_wait + times.shard_call + times.shard_insert
    call = times.rollout_call + times.driver_loop + times.driver_call + CALL_STEPS * times.env_step + insert
    return CALL_STEPS / call


def shard_load(times: Times, env_steps_per_s: float, updates_per_s: float) -> float:
    """Seconds of shards' work a second."""
    inserts = env_steps_per_s / CALL_STEPS * (times.shard_call + times.shard_insert)
    return inserts + updates_per_s * (times.shard_sample + times.shard_call / times.batches_per_chunk)


def core_us_per_env_step(times: Times, shards: int) -> Figures:
    """What the simulation has each kind of actor do, at an update an env step."""
    sampling = times.shard_sample + shards * times.shard_call / times.batches_per_chunk
    seconds = {
        "rollout": times.env_step + (times.rollout_call + times.insert_wait) / CALL_STEPS,
        "shard": (times.shard_call + times.shard_insert) / CALL_STEPS + sampling,
        "learner": 1 / learner_rate(times),
        "driver": (times.driver_loop + times.driver_call) * (1 / CALL_STEPS + 1 / CALL_UPDATES),
    }
    return {kind: 1e6 * value for kind, value in seconds.items()}


def saturation(times: Times, env_steps_per_update: int) -> Figures:
    """How many rollouts and shards one learner needs, and what they reach together."""
    updates_per_s = learner_rate(times)
    env_steps_per_s = updates_per_s * env_steps_per_update
    rollouts = math.ceil(env_steps_per_s / rollout_rate(times))
    shards = min(rollouts, math.ceil(shard_load(times, env_steps_per_s, updates_per_s) / SHARD_BUSY))
    shape = Shape(rollouts, shards, updates_per_env_step=1 / env_steps_per_update, spread=SPREAD)
    return {"possible_env_steps_per_s": env_steps_per_s, **outcome(times, shape)}


def curve(times: Times, env_steps_per_update: int) -> list[float]:
    """Env steps a second for each of `CURVE`, with shards that have time."""
    shards = saturation(times, env_steps_per_update)["shards"]
    ratio = 1 / env_steps_per_update
    shapes = [Shape(count, min(count, shards), updates_per_env_step=ratio, spread=SPREAD) for count in CURVE]
    return [outcome(times, shape)["env_steps_per_s"] for shape in shapes]


def many(times: Times) -> Figures:
    """`MANY` robot simulators, and more, each time with as few updates as leave the learner time."""
    asked = MANY * ROBOT_STEPS_PER_S
    return {
        "rollouts": MANY,
        "asked_env_steps_per_s": asked,
        "calls_per_s": asked / CALL_STEPS,
        "possible_calls_per_s": 1 / times.driver_call,
        "possible_inserts_per_s": 1 / (times.shard_call + times.shard_insert),
        "updates_per_s": asked / affordable(times, asked),
        "rollout_env_steps_per_s": rollout_rate(times),
        "shapes": [
            many_outcome(times, thousands * MANY, shards, environments)
            for thousands, shards, environments in MANY_SHAPES
        ],
    }


def many_outcome(times: Times, rollouts: int, shards: int, environments: int) -> Figures:
    asked = rollouts * ROBOT_STEPS_PER_S
    env_steps_per_update = affordable(times, asked)
    shape = Shape(rollouts, shards, environments, 1 / env_steps_per_update, spread=SPREAD)
    return {
        "asked_env_steps_per_s": asked,
        "env_steps_per_update": env_steps_per_update,
        **outcome(times, shape),
    }


def affordable(times: Times, env_steps_per_s: float) -> int:
    """Env steps for each update: the least power of two that leaves the learner time."""
    return int(2 ** math.ceil(math.log2(env_steps_per_s / (LEARNER_BUSY * learner_rate(times)))))


def outcome(times: Times, shape: Shape) -> Figures:
    call_s = CALL_STEPS * shape.envs_per_rollout * times.env_step
    found = simulate(times, shape, max(SECONDS, CALLS * call_s))
    return {
        "rollouts": shape.rollouts,
        "shards": shape.shards,
        "envs_per_rollout": shape.envs_per_rollout,
        **found._asdict(),
        "bottleneck": found.bottleneck,
    }
