"""Does the cost follow the active weights, or the width? The same number of active weights in ever wider networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.bench.random_batch import random_batch
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.config import ExperimentConfig, resolve
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import Spaces

WIDTHS = (256, 512, 1024, 2048)
SPACES = Spaces(11, 3, (-1.0,) * 3, (1.0,) * 3)  # Hopper's
POLICY_SPARSITY, CRITIC_SPARSITY = 0.98, 0.95  # at the first width


def measure() -> list[dict[str, Any]]:
    """Microseconds a TD3 update of each width."""
    configs = {width: make_config(width) for width in WIDTHS}
    calls: dict[str, Callable[[], object]] = {}
    for width, config in configs.items():
        batch = random_batch(config, SPACES, np.random.default_rng(0))
        calls[str(width)] = partial(make_learner(config, SPACES).update, batch)
    timings = time_in_turns(calls, 2)
    return [
        {
            "width": width,
            "active": plan_agent(config, *SPACES[:2]).policy.active + plan_agent(config, *SPACES[:2]).critic.active,
            "microseconds": timings.calls[str(width)].microseconds,
            "ratio": timings.ratio(str(width), str(WIDTHS[0])),
        }
        for width, config in configs.items()
    ]


def make_config(width: int) -> ExperimentConfig:
    """With as many active weights as the first width has at its sparsities."""
    dense, narrow = (plan_agent(resolve(tree(size, 0, 0)), *SPACES[:2]) for size in (width, WIDTHS[0]))
    policy = 1 - (1 - POLICY_SPARSITY) * narrow.policy.weights / dense.policy.weights
    critic = 1 - (1 - CRITIC_SPARSITY) * narrow.critic.weights / dense.critic.weights
    return resolve(tree(width, policy, critic))


def tree(width: int, policy: float, critic: float) -> dict[str, Any]:
    return {
        "sparsity": {"policy": policy, "critic": critic},
        "network": {"hidden": [width, width]},
        "topology": {"interval": 10**9},  # none while the clock runs
    }
