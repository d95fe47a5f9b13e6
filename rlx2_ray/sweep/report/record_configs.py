"""Configurations of trials, as they are found in run directories and MLflow: read back, and what they differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from rlx2_ray.config import ExperimentConfig, Tree, merge, nest, resolve
from rlx2_ray.types import BadInput

OF_THE_TASK = (  # keys, and beginnings of keys, that a task's runs share or that tell its arms apart anyway
    "env.", "algo", "method", "steps", "seed", "sparsity.policy", "sparsity.critic", "network.", "evaluation.",
    "runtime.", "checkpoint.",
    "topology.ticket", "target.expert",  # other runs, another for each seed
)  # fmt: skip
BASIS = ("env.id", "algo", "method", "steps")  # what the other defaults follow from


def config_of(params: Mapping[str, str]) -> ExperimentConfig:
    """The configuration in MLflow's parameters: dotted keys, values as text. Raises BadInput where it is none."""
    tree: Tree = {}
    for key, text in params.items():
        if text != "None":  # how MLflow writes a key without a value
            tree = merge(tree, nest(key, _value(text)))
    return resolve(tree)


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def flat(config: ExperimentConfig) -> Tree:
    """Dotted key -> value."""
    return _flatten(config.model_dump(mode="json"), "")


def _flatten(tree: Mapping[str, Any], prefix: str) -> Tree:
    values: Tree = {}
    for key, value in tree.items():
        is_section = isinstance(value, Mapping) and value
        values |= _flatten(value, f"{prefix}{key}.") if is_section else {f"{prefix}{key}": value}
    return values


def swept_changes(config: ExperimentConfig, keys: Sequence[str]) -> Tree:
    """The values of the swept keys, the seed left out."""
    values = flat(config)
    return {key: values.get(key) for key in keys if key != "seed"}


def differing_keys(configs: Sequence[ExperimentConfig]) -> list[str]:
    """The keys that people would name to tell the configurations apart.

    These are the ones whose values are not all the same, but for the seed and for values that only follow from others.
    """
    flats = [flat(config) for config in configs]
    own = dict.fromkeys(BASIS)
    for config, values in zip(configs, flats, strict=True):
        defaults = flat(_with_basis_of(config))
        own |= dict.fromkeys(key for key in values if values[key] != defaults.get(key))
    return [key for key in own if key != "seed" and len({repr(values.get(key)) for values in flats}) > 1]


class TaskChanges(NamedTuple):
    """What the configurations of one task give that neither the defaults nor their methods would."""

    own: tuple[Tree, ...]  # of each configuration: key -> value, where others have other ones
    shared: Tree  # what all that it could matter to have in common


def task_changes(configs: Sequence[ExperimentConfig]) -> TaskChanges:
    """A key is given where leaving it out would give another value, or none.

    Dense configurations are compared with each other, since what only sparse ones use is left out of them.
    """
    flats = [flat(config) for config in configs]
    given: dict[str, Tree] = {}  # the seeds of an arm share one
    for config, values in zip(configs, flats, strict=True):
        if _arm_key(values) not in given:
            given[_arm_key(values)] = {key: value for key, value in values.items() if _is_given(config, key)}
    varied = _varied(flats, is_dense=True), _varied(flats, is_dense=False)
    own: list[Tree] = []
    shared: Tree = {}
    for values in flats:
        apart = varied[0] if _is_dense(values) else varied[1]
        all_given = given[_arm_key(values)]
        own.append({key: value for key, value in all_given.items() if key in apart})
        shared |= {key: value for key, value in all_given.items() if key not in apart}
    return TaskChanges(tuple(own), shared)


def _varied(flats: Sequence[Tree], is_dense: bool) -> set[str]:
    group = [values for values in flats if _is_dense(values) == is_dense]
    keys = {key for values in group for key in values}
    return {key for key in keys if len({repr(values.get(key)) for values in group}) > 1}


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


def _with_basis_of(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration that has the same basis, and nothing else given."""
    return resolve({"env": {"id": config.env.id}, "algo": config.algo, "method": config.method, "steps": config.steps})
