"""Configurations as YAML: files, and values in a command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from rlx2_ray.config.schema import ExperimentConfig
from rlx2_ray.config.trees import Tree, merge, nest
from rlx2_ray.types import BadInput


def load(path: Path) -> Tree:
    """The mapping in a YAML file. Raises BadInput."""
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"There is no configuration file {path}: check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The configuration file {path} cannot be read ({error}): check the path.") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" near line {where.line + 1}" if where else ""
        raise BadInput(f"{path} is not valid YAML{line}: correct the file.") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise BadInput(f"{path} holds {tree!r}, not keys and values: write one 'key: value' a line.")
    return tree


def to_yaml(config: ExperimentConfig) -> str:
    """The text of a file with every value; `resolve(load(path))` of it gives the same configuration."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def parse_assignments(assignments: Iterable[str]) -> Tree:
    """The mapping of `a.b=value` texts, values read as YAML. Raises BadInput."""
    tree: Tree = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not all(key.split(".")):
            raise BadInput(f"--set {text!r} is not KEY=VALUE: write for example --set agent.discount=0.98.")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            raise BadInput(f"--set {key}: the value {value!r} is not valid YAML: quote it.") from None
        tree = merge(tree, nest(key, parsed))
    return tree
