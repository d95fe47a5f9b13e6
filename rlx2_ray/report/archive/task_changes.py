"""What the runs of one task were given beside their methods: what sets arms apart, and what all have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rlx2_ray.config import ExperimentConfig, Tree, resolve
from rlx2_ray.report.record.configs import flat
from rlx2_ray.types import BadInput

OF_THE_TASK = (  # keys, and beginnings of keys, that a task's runs share or that tell its arms apart anyway
    "env.", "algo", "method", "steps", "seed", "sparsity.policy", "sparsity.critic", "network.hidden", "evaluation.",
    "runtime.", "checkpoint.",
    "topology.ticket", "target.expert",  # other runs, another for each seed
)  # fmt: skip
OF_DENSE_TOO = (  # the others are no part of a dense arm: see `dense_counterpart`
    "agent.", "engine", "device", "network.", "policy.", "target.mean", "target.samples", "target.beta",
)  # fmt: skip


class TaskChanges(NamedTuple):
    own: tuple[Tree, ...]  # of each configuration: key -> value, where others have other ones
    shared: Tree  # what is given in all configurations that it is a part of


def task_changes(configs: Sequence[ExperimentConfig]) -> TaskChanges:
    """Tells what is given: a key is where leaving it out would give another value, or none."""
    flats = [flat(config) for config in configs]
    given: dict[str, Tree] = {}  # the seeds of an arm share one
    for config, values in zip(configs, flats, strict=True):
        if _arm_key(values) not in given:
            given[_arm_key(values)] = {key: value for key, value in values.items() if _is_given(config, key)}
    own: list[Tree] = []
    shared: Tree = {}
    known = {is_dense: _known_values(flats, is_dense) for is_dense in (True, False)}
    for values in flats:
        is_dense = _is_dense(values)
        among, others = known[is_dense], known[not is_dense]
        all_given = given[_arm_key(values)]
        apart = {
            key: value
            for key, value in all_given.items()
            if len(among[key]) > 1
            or (_is_compared(key, is_dense) and repr(value) not in others.get(key, {repr(value)}))
        }
        own.append(apart)
        shared |= {key: value for key, value in all_given.items() if key not in apart}
    return TaskChanges(tuple(own), shared)


def _known_values(flats: Sequence[Tree], is_dense: bool) -> dict[str, set[str]]:
    """Key -> its values in the dense configurations, or in the others."""
    known: dict[str, set[str]] = {}
    for values in flats:
        if _is_dense(values) == is_dense:
            for key, value in values.items():
                known.setdefault(key, set()).add(repr(value))
    return known


def _is_compared(key: str, is_dense: bool) -> bool:
    """Whether a value that only dense arms have, or only the others, sets them apart."""
    return is_dense or key.startswith(OF_DENSE_TOO)


def _is_dense(values: Tree) -> bool:
    return bool(values["method"] == "dense")


def _arm_key(values: Tree) -> str:
    return repr({key: value for key, value in values.items() if key != "seed"})


def _is_given(config: ExperimentConfig, key: str) -> bool:
    if key.startswith(OF_THE_TASK):
        return False
    tree = config.model_dump(mode="json")
    *sections, name = key.split(".")
    section = tree
    for each in sections:
        section = section[each]
    value = section.pop(name, None)
    try:
        return bool(flat(resolve(tree)).get(key) != value)
    except BadInput:  # the others do not go without it
        return True
