"""A small task, configurations for it, and random batches of experience."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.config import ExperimentConfig, merge, resolve
from rlx2_ray.types import Batch, Spaces
from tests.support.batches import side_by_side

SPACES = Spaces(observation_size=3, action_size=2, action_low=(-1, -1), action_high=(1, 1))
UNENDING = 10**9

SMALL: dict[str, Any] = {
    "method": "rigl",
    "steps": 10_000,
    "network": {"hidden": [16, 16]},
    "sparsity": {"policy": 0.7, "critic": 0.6},
    "topology": {"interval": 2, "end_update": UNENDING},
    "agent": {"batch_size": 8},
}
# The sparse engine gives the layer between hidden ones to BLAS, the inactive weights among them.
NEARLY_DENSE: Final[dict[str, Any]] = {"network": {"hidden": [40, 33]}, "sparsity": {"policy": 0.3, "critic": 0.3}}

ALGORITHMS = pytest.mark.parametrize("algo", ["td3", "sac"])
ENGINES = pytest.mark.parametrize("engine", ["torch", "sparse"])


def small_config(algo: str, **sections: Any) -> ExperimentConfig:
    """Sparse networks of two hidden layers of 16, with a topology event at every second optimizer call."""
    return resolve(merge(SMALL, {"algo": algo, **sections}))


def check_resumes(config: ExperimentConfig) -> None:
    """A learner that is made anew from a state comes to the same bits, with events before and after."""
    whole, again = (make_learner(config, SPACES) for _ in range(2))
    generator = np.random.default_rng(0)
    batches = [random_batch(generator) for _ in range(9)]
    for batch in batches[:5]:
        whole.update(batch)
    again.restore(whole.state())
    for learner in (whole, again):
        for batch in batches[5:]:
            learner.update(batch)
    states = [{name: each.tobytes() for name, each in learner.state().arrays.items()} for learner in (whole, again)]
    assert states[0] == states[1]


def random_batch(
    generator: np.random.Generator, size: int = 8, n_step: int = 1, every_step: bool = True, spaces: Spaces = SPACES
) -> Batch:
    """Windows of all lengths, each kept to the rules of `Batch`: zero rewards and repeated observations past m."""
    lengths = generator.integers(1, n_step + 1, size)
    rewards = generator.standard_normal((size, n_step), np.float32)
    next_observations = generator.standard_normal((size, n_step, spaces.observation_size), np.float32)
    for row, length in enumerate(lengths):
        rewards[row, length:] = 0
        next_observations[row, length:] = next_observations[row, length - 1]
    first_axis = Batch(
        generator.standard_normal((size, spaces.observation_size), np.float32),
        generator.uniform(-1, 1, (size, spaces.action_size)).astype(np.float32),
        rewards,
        next_observations if every_step else next_observations[:, -1:],
        lengths,
        generator.random(size) < 0.3,
    )
    return side_by_side(first_axis)
