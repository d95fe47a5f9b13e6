"""The trials of a compression: what the search requests, as configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlx2_ray.config import ExperimentConfig, Tree, dense_counterpart, merge, resolve
from rlx2_ray.search.ledger import Request
from rlx2_ray.sweep.trials.job import Plan


@dataclass(frozen=True)
class CompressPlanner:
    base: Tree  # without sparsities and seed

    def plan(self, sampled: Mapping[str, Any], trial_id: str) -> Plan:
        """Tune's configuration of a trial is a request's fields."""
        request = Request(**{field: sampled[field] for field in Request._fields})
        return Plan(name_of(request), self.config(request), request.purpose)

    def config(self, request: Request) -> ExperimentConfig:
        sparsity = {"policy": request.policy_sparsity, "critic": request.critic_sparsity}
        config = resolve(merge(self.base, {"sparsity": sparsity, "seed": request.seed}))
        return dense_counterpart(config) if request.purpose == "dense" else config


def name_of(request: Request) -> str:
    """Such as `p0.9800-c0.9500-s1002`; the dense arm's are `dense-s3`."""
    if request.purpose == "dense":
        return f"dense-s{request.seed}"
    return f"p{request.policy_sparsity:.4f}-c{request.critic_sparsity:.4f}-s{request.seed}"
