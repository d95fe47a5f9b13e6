"""A configuration as programs give it: a file, a mapping, keywords, or all of them."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from rlx2_ray import config as configuration
from rlx2_ray import plugins
from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.config.short_names import SHORT_NAMES
from rlx2_ray.types import BadInput, shown

Given = str | PathLike[str] | Mapping[str, Any] | None


def read(given: Given, keywords: Mapping[str, Any]) -> ExperimentConfig:
    """The configuration of a file or a mapping of keys, and of keywords, which win. Raises BadInput."""
    tree = configuration.merge(_tree(given), configuration.unflatten(_keys(keywords)))
    return configuration.resolve(plugins.typed(tree))


def _tree(given: Given) -> Tree:
    """Keys of a mapping may be nested, dotted, or both."""
    if given is None:
        return {}
    if isinstance(given, str | PathLike):
        return configuration.load(Path(given))
    if not isinstance(given, Mapping):
        raise BadInput(f"The configuration is {shown(given)}: give the path of a YAML file, or a mapping of keys.")
    return configuration.unflatten(given)


def _keys(keywords: Mapping[str, Any]) -> Tree:
    """Sections stay what they are, so that `env={"id": ...}` and `env="Hopper-v5"` are both understood."""
    return {
        name if isinstance(value, Mapping) else SHORT_NAMES.get(name, name): value for name, value in keywords.items()
    }
