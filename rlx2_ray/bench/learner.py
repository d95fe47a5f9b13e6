"""One learner update: ours at the configured sparsity, ours dense, and dense in torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import Learner
from rlx2_ray.bench.random_batch import random_batch
from rlx2_ray.bench.timing import time_in_turns
from rlx2_ray.bench.torch_dense import torch_dense
from rlx2_ray.config import ExperimentConfig, dense_counterpart
from rlx2_ray.sparse.costs import dense_multiply_adds
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import Spaces


def bench_learner(config: ExperimentConfig, spaces: Spaces, compile_torch: bool) -> dict[str, Any]:
    """Microseconds and ratios. Windows have their full n steps; those of the dense arms have one."""
    dense = dense_counterpart(config)
    variants = ("eager", "fused", "compiled") if compile_torch else ("eager", "fused")
    references = {variant: torch_dense(dense, spaces, variant) for variant in variants}  # type: ignore[arg-type]
    contestants = {
        "sparse": _Updates(config, spaces).once,
        "dense": _Updates(dense, spaces).once,
        **{variant: reference.update for variant, reference in references.items()},
    }
    timings = time_in_turns(contestants, config.agent.policy_delay)
    times = {name: timing.microseconds for name, timing in timings.calls.items()}
    return {
        "sparse_us": times["sparse"],
        "dense_us": times["dense"],
        "torch_dense_us": times["eager"],
        "torch_dense_fused_us": times["fused"],
        "torch_dense_compiled_us": times.get("compiled"),
        "ratio_vs_torch_dense": timings.ratio("eager", "sparse"),
        "dense_ratio_vs_torch_dense": timings.ratio("eager", "dense"),
        "dense_gflop": 2e-9 * config.agent.batch_size * dense_multiply_adds(dense, plan_agent(dense, *spaces[:2])),
        "spread": {name: timing.spread for name, timing in timings.calls.items()},
    }


class _Updates:
    """A learner, and batches for it."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces) -> None:
        self._learner: Learner = make_learner(config, spaces)
        generator = np.random.default_rng(0)
        self._batches = [random_batch(config, spaces, generator) for _ in range(4)]

    def once(self) -> None:
        self._learner.update(self._batches[self._learner.learner_steps % len(self._batches)])
