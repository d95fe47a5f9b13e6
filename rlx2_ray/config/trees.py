"""Nested mappings and their dotted keys: `{"a": {"b": 1}}` has the one key `a.b`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

Tree = dict[str, Any]


def nest(dotted_key: str, value: Any) -> Tree:
    """`nest("a.b", 1)` is `{"a": {"b": 1}}`."""
    for part in reversed(dotted_key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Nested mappings joined; where both have a value, `above` wins."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """The values of a nested mapping by their dotted keys; an empty mapping below the top is a value."""
    flat: Tree = {}
    for key, value in tree.items():
        is_section = isinstance(value, Mapping) and value
        flat |= flatten(value, f"{prefix}{key}.") if is_section else {f"{prefix}{key}": value}
    return flat


def unflatten(flat: Mapping[str, Any]) -> Tree:
    """The nested mapping of values by their dotted keys, as `flatten` has them; of two for one place the later wins."""
    return reduce(merge, (nest(key, value) for key, value in flat.items()), {})


def at(tree: Mapping[str, Any], dotted_key: str, default: Any) -> Any:
    value: Any = tree
    for part in dotted_key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return value
