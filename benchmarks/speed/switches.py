"""What each switch of docs/methods.md costs: an update with it beside one without, in turns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.speed.roofline import describe_processor
from rlx2_ray.agents.engines import make_learner
from rlx2_ray.bench.random_batch import random_batch
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.config import ExperimentConfig, merge, resolve
from rlx2_ray.types import Spaces

SPACES = Spaces(11, 3, (-1.0,) * 3, (1.0,) * 3)  # Hopper's
SPARSITY = {"policy": 0.99, "critic": 0.975}  # where they are for
NEVER = 10**9  # calls between events: none while the clock runs
OFTEN, BATCHES, INTERVAL = 20, 10, 10_000  # calls between events that are timed, and in a run
ROUNDS = 60
PLAIN, GROWTH = "without a switch", f"topology.growth_batches {BATCHES}"
SWITCHES: dict[str, dict[str, Any]] = {
    "policy.average": {"policy": {"average": 10_000}},
    "target.samples 10": {"target": {"samples": 10}},
    "target.mean": {"target": {"mean": 0.5}},
    "agent.beta_1, agent.beta_2": {"agent": {"beta_1": 0.9, "beta_2": 0.9}},
    "agent.grown_steps": {"agent": {"grown_steps": "own"}},
    "network.rescaled": {"network": {"rescaled": "both"}},
    "network.critic_norm": {"network": {"critic_norm": "layer"}},
}


def measure() -> dict[str, Any]:
    """The times of an update with a switch over one without, of each algorithm."""
    return {"processor": describe_processor(), "ratios": {algo: measure_algo(algo) for algo in ("td3", "sac")}}


def measure_algo(algo: str) -> dict[str, float]:
    switches = {name: keys for name, keys in SWITCHES.items() if algo == "td3" or "samples" not in name}
    configs = {name: make_config(algo, keys) for name, keys in {PLAIN: {}, **switches}.items()}
    timings = time_in_turns({name: make_call(config) for name, config in configs.items()}, 2, ROUNDS)
    ratios = {name: timings.ratio(name, PLAIN) for name in switches}
    return {**ratios, GROWTH: 1 + growth_cost(algo) * OFTEN / INTERVAL}


def growth_cost(algo: str) -> float:
    """What the batches before an event cost, spread over so many calls as are timed, in updates without events."""
    keys: dict[str, dict[str, Any]] = {
        PLAIN: {},
        "events": {"topology": {"interval": OFTEN}},
        GROWTH: {"topology": {"interval": OFTEN, "growth_batches": BATCHES}},
    }
    calls = {name: make_call(make_config(algo, each)) for name, each in keys.items()}
    timings = time_in_turns(calls, 2 * OFTEN)  # whole intervals of the policy, too
    return timings.ratio(GROWTH, PLAIN) - timings.ratio("events", PLAIN)


def make_config(algo: str, keys: dict[str, Any]) -> ExperimentConfig:
    return resolve(merge({"algo": algo, "sparsity": SPARSITY, "topology": {"interval": NEVER}}, keys))


def make_call(config: ExperimentConfig) -> Callable[[], object]:
    return partial(make_learner(config, SPACES).update, random_batch(config, SPACES, np.random.default_rng(0)))
