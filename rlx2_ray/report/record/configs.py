"""Configurations of trials, as they are found in run directories and MLflow: read back, and what they differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rlx2_ray.config import ExperimentConfig, Tree, flatten, resolve, resolve_stored, unflatten
from rlx2_ray.methods import NEEDS
from rlx2_ray.tracking.params import from_params
from rlx2_ray.types import BadInput

NEEDED = {"env.id", "algo", "steps"}  # parameters that every version has given MLflow
BASIS = ("env.id", "algo", "method", "steps")  # what the other defaults follow from


class Described(NamedTuple):
    """A configuration, and what it takes to tell it from others."""

    config: ExperimentConfig
    values: Tree  # by dotted key
    own: tuple[str, ...]  # the keys whose values do not follow from those of BASIS


def described(config: ExperimentConfig) -> Described:
    values = flat(config)
    defaults = flat(_with_basis_of(config))
    return Described(config, values, (*BASIS, *(key for key in values if values[key] != defaults.get(key))))


def config_of(params: Mapping[str, str]) -> ExperimentConfig:
    """Reads MLflow's parameters: dotted keys, values as text. Raises BadInput where they are no configuration."""
    config = resolve_stored(from_params(params))
    if not params.keys() >= NEEDED:  # or defaults would stand for them
        raise BadInput(f"{min(NEEDED - params.keys())} is not among its parameters.")
    return config


def flat(config: ExperimentConfig) -> Tree:
    """Returns dotted key -> value."""
    return flatten(config.model_dump(mode="json"))


def swept_changes(values: Tree, keys: Sequence[str]) -> Tree:
    """Returns those of the values that belong to swept keys, the seed left out."""
    return {key: values.get(key) for key in keys if key != "seed"}


def differing_keys(all_of_them: Sequence[Described]) -> list[str]:
    """Returns the keys that people would name to tell the configurations apart.

    These are the ones whose values are not all the same, but for the seed and for values that only follow from others.
    """
    own = dict.fromkeys(key for each in all_of_them for key in each.own)
    return [key for key in own if key != "seed" and len({repr(each.values.get(key)) for each in all_of_them}) > 1]


def _with_basis_of(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration that has the same basis, and nothing else given that its method can do without."""
    values, keys = flat(config), [*BASIS, *(key for key, _ in filter(None, [NEEDS.get(config.method)]))]
    return resolve(unflatten({key: values[key] for key in keys}))
