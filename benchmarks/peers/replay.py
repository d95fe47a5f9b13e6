"""What a replay buffer of Stable-Baselines3 takes: memory of a transition, and the time to sample a batch.

    .venv-peers/bin/python -m benchmarks.peers.replay --env Hopper-v5 --transitions 1000000 --cpu 0

Each buffer is full when the clock starts; its turns alternate with those of the flat ring that `rlx2 bench replay`
measures itself against, so that both reports have a yardstick in common. The last line printed is one JSON object:

memory_bytes        of a transition, by variant: as it is, and with optimize_memory_usage
sample_us           median, microseconds, drawing a batch as tensors
flat_sample_us      the same for the flat ring, as arrays
ratios              times faster the flat ring is: the median over rounds
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from importlib.metadata import version
from typing import Any

from benchmarks.peers import one_core  # before anything imports numpy

# isort: split
import gymnasium
import numpy as np
import torch
from stable_baselines3.common.buffers import ReplayBuffer

from rlx2_ray.bench.flat_buffer import FlatBuffer
from rlx2_ray.bench.timing import time_in_turns

VARIANTS = {
    "default": {},
    "optimize_memory_usage": {"optimize_memory_usage": True, "handle_timeout_termination": False},
}
COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description="Replay of Stable-Baselines3 on one core.")
    parser.add_argument("--env", default="Hopper-v5")
    parser.add_argument("--transitions", type=int, default=1_000_000)
    parser.add_argument("--cpu", type=int, default=0, help="the core that does all the work")
    arguments = parser.parse_args()
    one_core.pin(arguments.cpu)
    torch.set_num_threads(1)
    print(json.dumps(measure(arguments.env, arguments.transitions)))  # noqa: T201 - it is the result


def measure(env_id: str, transitions: int) -> dict[str, Any]:
    env = gymnasium.make(env_id, disable_env_checker=True)
    buffers = {name: filled_buffer(env, transitions, options) for name, options in VARIANTS.items()}
    flat = filled_flat_buffer(env, transitions)
    calls = {name: partial(buffer.sample, BATCH) for name, buffer in buffers.items()}
    timings = time_in_turns({**calls, "flat": partial(flat.sample, BATCH)})
    return {
        "env": env_id,
        "transitions": transitions,
        "memory_bytes": {name: memory_bytes(buffer) / transitions for name, buffer in buffers.items()},
        "sample_us": {name: timings.calls[name].microseconds for name in buffers},
        "flat_sample_us": timings.calls["flat"].microseconds,
        "ratios": {name: timings.ratio(name, "flat") for name in buffers},
        "versions": {name: version(name) for name in ("stable-baselines3", "torch", "numpy")},
    }


def filled_buffer(env: gymnasium.Env[Any, Any], transitions: int, options: dict[str, bool]) -> ReplayBuffer:
    """Its arrays are written to, so that the memory is really there; filling it by `add` would take minutes."""
    buffer = ReplayBuffer(transitions, env.observation_space, env.action_space, device="cpu", **options)
    generator = np.random.default_rng(0)
    for column in columns(buffer):
        column[:] = generator.standard_normal(column.shape) if column.ndim > 2 else 0
    buffer.full = True
    return buffer


def filled_flat_buffer(env: gymnasium.Env[Any, Any], transitions: int) -> FlatBuffer:
    sizes = env.observation_space.shape[0], env.action_space.shape[0]  # type: ignore[index]
    buffer = FlatBuffer(*sizes, transitions, np.random.default_rng(0))
    generator = np.random.default_rng(0)
    for column in buffer.columns():
        column[:] = generator.standard_normal(column.shape) if column.ndim > 1 else 0
    buffer.size = transitions
    return buffer


def memory_bytes(buffer: ReplayBuffer) -> int:
    return sum(column.nbytes for column in columns(buffer))


def columns(buffer: ReplayBuffer) -> list[Any]:
    return [getattr(buffer, name) for name in COLUMNS if hasattr(buffer, name)]


if __name__ == "__main__":
    main()
