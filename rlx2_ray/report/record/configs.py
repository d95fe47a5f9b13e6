"""Configurations of trials, as they are found in run directories and MLflow: read back, and what they differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from rlx2_ray.config import ExperimentConfig, Tree, flatten, resolve, resolve_stored, unflatten

BASIS = ("env.id", "algo", "method", "steps")  # what the other defaults follow from


def config_of(params: Mapping[str, str]) -> ExperimentConfig:
    """Reads MLflow's parameters: dotted keys, values as text. Raises BadInput where they are no configuration."""
    there = {key: _value(text) for key, text in params.items() if text != "None"}  # MLflow's word for no value
    return resolve_stored(unflatten(there))


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def flat(config: ExperimentConfig) -> Tree:
    """Returns dotted key -> value."""
    return flatten(config.model_dump(mode="json"))


def swept_changes(config: ExperimentConfig, keys: Sequence[str]) -> Tree:
    """Returns the values of the swept keys, the seed left out."""
    values = flat(config)
    return {key: values.get(key) for key in keys if key != "seed"}


def differing_keys(configs: Sequence[ExperimentConfig]) -> list[str]:
    """Returns the keys that people would name to tell the configurations apart.

    These are the ones whose values are not all the same, but for the seed and for values that only follow from others.
    """
    flats = [flat(config) for config in configs]
    own = dict.fromkeys(BASIS)
    for config, values in zip(configs, flats, strict=True):
        defaults = flat(_with_basis_of(config))
        own |= dict.fromkeys(key for key in values if values[key] != defaults.get(key))
    return [key for key in own if key != "seed" and len({repr(values.get(key)) for values in flats}) > 1]


def _with_basis_of(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration that has the same basis, and nothing else given."""
    return resolve({"env": {"id": config.env.id}, "algo": config.algo, "method": config.method, "steps": config.steps})
