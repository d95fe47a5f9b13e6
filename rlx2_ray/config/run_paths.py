"""Keys whose value is the directory of another run: what a person writes is relative to where the command is typed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rlx2_ray.config.trees import Tree, at, merge, nest

RUNS = ("topology.ticket", "target.expert")


def with_absolute_runs(tree: Mapping[str, Any]) -> Tree:
    """The same keys of a run, a sweep or a queue, with absolute paths: a run goes on from any folder."""
    absolute = dict(tree)
    for key in RUNS:
        absolute = merge(absolute, nest(key, _absolute(at(tree, key, None)))) if at(tree, key, None) else absolute
    if isinstance(space := tree.get("param_space"), Mapping):
        absolute["param_space"] = {name: _of_domain(str(name), domain) for name, domain in space.items()}
    if isinstance(members := tree.get("queue"), list):
        absolute["queue"] = [with_absolute_runs(each) if isinstance(each, Mapping) else each for each in members]
    return absolute


def _of_domain(name: str, domain: Any) -> Any:
    """Of a swept key, or of several that vary together, whose values are rows."""
    keys = [key.strip() for key in name.split(",")]
    if not isinstance(domain, Mapping) or not set(RUNS) & set(keys):
        return domain
    return {form: _of_values(keys, values) for form, values in domain.items()}


def _of_values(keys: list[str], values: Any) -> Any:
    if not isinstance(values, list):
        return values
    if len(keys) == 1:
        return [_absolute(value) for value in values]
    return [
        [_absolute(value) if key in RUNS else value for key, value in zip(keys, row, strict=True)]
        if isinstance(row, list) and len(row) == len(keys)
        else row
        for row in values
    ]


def _absolute(path: Any) -> Any:
    """Whatever is no text is refused later, by name."""
    return os.path.abspath(os.path.expanduser(path)) if isinstance(path, str) and path else path
