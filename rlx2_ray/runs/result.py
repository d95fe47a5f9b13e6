"""What a run amounts to, as the keys of result.json."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.tables import bytes_of
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import AgentPlan, NetworkPlan

C_BYTES = ("policy_c_bytes", "policy_c_bytes_int8")  # keys: of float32, and of its nearest int8
PACKAGES = ("rlx2_ray", "torch", "ray", "gymnasium", "mujoco", "mlflow", "numpy", "pyarrow", "numba", "scipy")


def describe_costs(config: ExperimentConfig, plan: AgentPlan) -> dict[str, Any]:
    """The sparsities, active weights of policy and both critics, and ratios to the dense arm."""
    costs = relative_costs(config, plan)
    return {
        "policy_sparsity": _sparsity(config.sparsity.policy, config, plan.policy),
        "critic_sparsity": _sparsity(config.sparsity.critic, config, plan.critic),
        "active_weights": plan.policy.active + plan.critic.active,
        **({"values": plan.policy.values + plan.critic.values} if config.sparsity.block > 1 else {}),
        "size_ratio": costs.size_ratio,
        "compression": costs.compression,
        "train_flops_ratio_paper": costs.train_flops_ratio_paper,
        "train_flops_ratio_counted": costs.train_flops_ratio_counted,
        "inference_flops_ratio": costs.inference_flops_ratio,
    }


def describe_bytes(policy: Layers, actions: int) -> dict[str, int]:
    """Returns what the tables of a finished policy take as C, as `rlx2 export` writes them: floats, and int8."""
    network = compact(policy, actions)
    return dict(zip(C_BYTES, (bytes_of(network), bytes_of(network, np.int8)), strict=True))


def c_bytes_of(result: Mapping[str, Any]) -> dict[str, int]:
    """Returns the same of a result, by its keys; empty where an earlier version wrote it."""
    return {name: int(result[name]) for name in C_BYTES if result.get(name) is not None}


def _sparsity(asked: float, config: ExperimentConfig, plan: NetworkPlan) -> float:
    """As asked for, where it can be; else what it really is."""
    sparsity = config.sparsity
    is_given = sparsity.distribution in ("epsilon", "groups") or sparsity.fan_in == "constant"
    is_given = is_given or sparsity.block > 1 or config.topology.hold > 0
    return round(1 - plan.density, 6) if is_given else asked


def describe_identity(config: ExperimentConfig) -> dict[str, Any]:
    return {
        "env_id": config.env.id,
        "algo": config.algo,
        "method": config.method,
        "seed": config.seed,
        "engine": config.engine,
        "runtime": config.runtime.kind,
    }


def installed_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # rlx2_ray run from a bare checkout
            versions[package] = "unknown"
    return versions
