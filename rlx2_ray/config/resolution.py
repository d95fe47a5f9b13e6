"""The full configuration from the keys that a user gave, and the dense one that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config.checks import check_names, check_together
from rlx2_ray.config.evaluations import default_score_window
from rlx2_ray.config.messages import validate
from rlx2_ray.config.schema import LARGEST_RATIO, LARGEST_WINDOW, ExperimentConfig, parse_count, updates_due
from rlx2_ray.config.trees import Tree, at, merge
from rlx2_ray.methods import EVENTS, METHODS, keys_of
from rlx2_ray.strict import LARGEST
from rlx2_ray.topology_rules import TopologyRule, facts_of
from rlx2_ray.types import BadInput, shown

FIXED_CAPACITY = (100_000, 1_000_000)  # least and greatest of the replay, unless configured
# What the dense arm does not share with a sparse one; every other key, and every section to come, it does.
OF_THE_METHOD: dict[str, Any] = {
    **dict.fromkeys(("method", "sparsity", "topology", "replay"), True),
    "target": {"rule", "n_step", "n_step_start", "expert"},
}


def resolve(given: Mapping[str, Any]) -> ExperimentConfig:
    """The full configuration from the keys that the user gave (nested mappings). Raises BadInput."""
    config = _resolve(given)
    check_names(config)
    return config


def _resolve(given: Mapping[str, Any]) -> ExperimentConfig:
    algo = _choice(given, "algo", "td3", ALGORITHMS)
    of_algorithm: Tree = {"agent": {"policy_delay": ALGORITHMS[algo].policy_delay}}
    method = given.get("method", "rlx2")
    if not isinstance(method, str):
        raise BadInput(f"method is {shown(method)}: choose one of {', '.join(METHODS)}.")
    tree = merge(merge(of_algorithm, keys_of(method)), given)
    config = validate(ExperimentConfig, merge(_consequences(tree), tree))
    check_together(config)
    return config


def resolve_stored(tree: Mapping[str, Any]) -> ExperimentConfig:
    """The configuration that a run has on file. Raises BadInput.

    One without a score window was written when that was the same for every run. Rules that are not ours need not be
    there.
    """
    return _resolve(merge({"evaluation": {"score_window": LARGEST_WINDOW}}, tree))


def dense_counterpart(config: ExperimentConfig) -> ExperimentConfig:
    """The same task, algorithm and protocol with method dense: what a sparse run is compared with."""
    return resolve({"method": "dense", **config.model_dump(exclude=OF_THE_METHOD)})


def _choice(given: Mapping[str, Any], key: str, default: str, table: Mapping[str, object]) -> str:
    value = given.get(key, default)
    if not isinstance(value, str) or value not in table:
        raise BadInput(f"{key} is {shown(value)}: choose one of {', '.join(table)}.")
    return value


def _consequences(tree: Tree) -> Tree:
    """Defaults that follow from other values. Only well-formed values are used; the rest fails validation later."""
    steps = _count_at(tree, "steps", 3_000_000)
    warmup = _count_at(tree, "agent.warmup_steps", max(1, min(25_000, steps // 10)))
    ratio = _ratio_at(tree, "agent.updates_per_env_step", 1.0)
    rule = _rule(tree)
    planned = updates_due(steps, warmup, ratio)
    first_event, last_event = EVENTS.get(tree.get("method", ""), (0.0, 1.0))
    policy_sparsity, critic_sparsity = _default_sparsities(tree)
    least, greatest = _default_capacity(tree)
    maximum = _count_at(tree, "replay.max_capacity", greatest)
    interval = _count_at(tree, "evaluation.interval", 5_000)
    return {
        "engine": "sparse" if at(tree, "device", "cpu") == "cpu" else "torch",
        "sparsity": {"policy": policy_sparsity, "critic": critic_sparsity},
        "agent": {"warmup_steps": warmup},
        "topology": {
            "start_update": int(first_event * planned),
            "end_update": int(last_event * planned),
            "initial_mask": rule.initial_mask,
        },
        "target": {"n_step_start": int(steps * ratio) // 10},
        "replay": {"max_capacity": maximum, "min_capacity": min(least, maximum)},
        "evaluation": {"early_interval": interval, "score_window": default_score_window(steps, interval)},
    }


def _default_capacity(tree: Tree) -> tuple[int, int]:
    """The least and the greatest."""
    is_dynamic = at(tree, "replay.capacity_rule", "") in ("dynamic", "dynamic_paper")
    return ALGORITHMS[tree.get("algo", "td3")].dynamic_capacity if is_dynamic else FIXED_CAPACITY


def _default_sparsities(tree: Tree) -> tuple[float, float]:
    """Of policy and critics."""
    distribution = at(tree, "sparsity.distribution", "erdos_renyi")
    if distribution == "epsilon" or (_rule(tree).is_dense and distribution != "narrow"):
        return 0.0, 0.0
    group = at(tree, "topology.group", (2, 4))
    if distribution == "groups" and isinstance(group, list | tuple) and len(group) == 2:
        lives, inputs = (_count_at({"count": each}, "count", 1) for each in group)
        sparsity = max(0.0, 1 - lives / inputs)
        return sparsity, sparsity
    return 0.9, 0.8


def _rule(tree: Tree) -> TopologyRule:
    name = at(tree, "topology.rule", None)
    return facts_of(name if isinstance(name, str) else "")


def _count_at(tree: Mapping[str, Any], dotted_key: str, default: int) -> int:
    try:
        value = parse_count(at(tree, dotted_key, default))
    except ValueError:
        return default
    return value if isinstance(value, int) and 0 < value <= LARGEST else default


def _ratio_at(tree: Mapping[str, Any], dotted_key: str, default: float) -> float:
    try:
        value = float(at(tree, dotted_key, default))
    except (TypeError, ValueError, OverflowError):
        return default
    return value if 0 < value <= LARGEST_RATIO else default
