"""Configurations as YAML: files, and values in a command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rlx2_ray import files
from rlx2_ray.config import yaml_text
from rlx2_ray.config.schema import ExperimentConfig
from rlx2_ray.config.trees import Tree, merge, nest
from rlx2_ray.config.yaml_text import LONGEST
from rlx2_ray.types import BadInput, shown

MOST_BYTES = 4 * LONGEST  # of a file, whose characters have four at most


def load(path: Path) -> Tree:
    """The mapping in a YAML file that a person wrote. Raises BadInput."""
    return _load(path, is_stored=False)


def load_stored(path: Path) -> Tree:
    """The mapping in a YAML file that this program wrote, whichever version of it. Raises BadInput."""
    return _load(path, is_stored=True)


def read_bytes(path: Path) -> bytes:
    """The content of a YAML file. Raises BadInput."""
    try:
        return files.read(path, MOST_BYTES)
    except FileNotFoundError:
        raise BadInput(f"There is no configuration file {path}: check the path.") from None
    except (OSError, ValueError) as error:  # the latter of a path that no file system takes
        raise _unreadable(path, getattr(error, "strerror", None) or error) from None


def _unreadable(path: Path, why: object) -> BadInput:
    return BadInput(f"The configuration file {path} cannot be read ({why}): check the path.")


def _load(path: Path, is_stored: bool) -> Tree:
    try:
        text = read_bytes(path).decode("utf-8-sig")  # some editors begin files with a mark
    except UnicodeDecodeError as error:
        raise _unreadable(path, error) from None
    tree = yaml_text.read(text, str(path), is_stored=is_stored)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise BadInput(f"{path} holds {shown(tree)}, not keys and values: write one 'key: value' a line.")
    return tree


def to_yaml(config: ExperimentConfig) -> str:
    """The text of a file with every value; `resolve(load(path))` of it gives the same configuration."""
    return yaml_text.write(config.model_dump(mode="json"))


def parse_assignments(assignments: Iterable[str]) -> Tree:
    """The mapping of `a.b=value` texts, values read as YAML. Raises BadInput."""
    tree: Tree = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not all(key.split(".")):
            raise BadInput(f"--set {text!r} is not KEY=VALUE: write for example --set agent.discount=0.98.")
        tree = merge(tree, nest(key, yaml_text.read_value(value, f"--set {key}={value!r}")))
    return tree
