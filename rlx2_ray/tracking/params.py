"""A configuration as MLflow's parameters, whose names and lengths MLflow limits, and back from them."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rlx2_ray.config import Tree, at, flatten, unflatten, yaml_text
from rlx2_ray.types import BadInput

LONGEST_KEY, LONGEST_VALUE = 250, 6000  # characters, MLflow's limits
FREE = "env.kwargs"  # the section whose keys and values nobody fixes
_NAME = re.compile(r"[\w -]+")  # of which names can be joined by dots and told apart again
_NO_VALUE = "None"


def to_params(nested: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a nested configuration: keys joined by dots, values as text of MLflow's length at most.

    What stands below a name that MLflow does not take, or that is too long, is one parameter, as YAML.
    """
    free = at(nested, FREE, {})
    typed = {key: value for key, value in flatten(nested).items() if not f"{key}.".startswith(f"{FREE}.")}
    params = {key: str(value) for key, value in typed.items() if value != {}}
    params |= _free_params(FREE, free) if free else {}
    return {key: text[:LONGEST_VALUE] for key, text in params.items()}


def is_cut(text: str) -> bool:
    """Whether a parameter may have been longer than MLflow takes."""
    return len(text) >= LONGEST_VALUE


def from_params(params: Mapping[str, str]) -> Tree:
    """The nested configuration that parameters say. Raises BadInput where one was cut."""
    for key, text in params.items():
        if is_cut(text):
            raise BadInput(f"{key} is longer than MLflow takes: read the run from its directory.")
    return unflatten({key: _value(text) for key, text in params.items() if text != _NO_VALUE})


def _free_params(key: str, value: Any) -> dict[str, str]:
    if isinstance(value, Mapping) and value and all(map(_NAME.fullmatch, value)):
        params: dict[str, str] = {}
        for name, inner in value.items():
            params |= _free_params(f"{key}.{name}", inner)
        if all(len(each) <= LONGEST_KEY for each in params):
            return params
    text = str(value)
    is_clear = text != _NO_VALUE and repr(_value(text)) == repr(value)
    return {key: text if is_clear else yaml_text.write(value, in_one_line=True)}


def _value(text: str) -> Any:
    return copy.deepcopy(_parsed(text))  # nobody can change what is kept


@lru_cache(maxsize=4096)  # thousands of runs have the same few values
def _parsed(text: str) -> Any:
    try:
        return yaml_text.read(text, "MLflow", is_stored=True)
    except BadInput:
        return text
