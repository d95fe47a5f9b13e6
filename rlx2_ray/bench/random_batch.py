"""A made-up batch; in a file of its own, since a compression times an update without loading torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.types import Batch, Spaces


def random_batch(config: ExperimentConfig, spaces: Spaces, generator: np.random.Generator) -> Batch:
    """Full windows of the configured length."""

    def normal(*shape: int) -> Any:
        return generator.standard_normal(shape, dtype=np.float32)

    size, n_step = config.agent.batch_size, config.target.n_step
    kept = n_step if ALGORITHMS[config.algo].needs_every_step else 1
    return Batch(
        observations=normal(spaces.observation_size, size),
        actions=np.tanh(normal(spaces.action_size, size)),
        rewards=normal(n_step, size),
        next_observations=normal(kept, spaces.observation_size, size),
        lengths=np.full(size, n_step),
        terminated=np.zeros(size, np.bool_),
    )
