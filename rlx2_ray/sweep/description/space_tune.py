"""A space in the words of Ray Tune, for its random search, Optuna and PBT alike.

Every parameter stands under its dotted name at the top level of a trial's Tune configuration, and its values are plain:
Optuna and Tune's tables cannot do with lists and mappings, so these go as JSON text (`space.unpack` reads them).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rlx2_ray.sweep.description.space import LISTS, Parameter, Space


def to_tune(space: Space) -> dict[str, Any]:
    """Returns name -> Tune's search domain; also what Tune's OptunaSearch takes as its space."""
    return {parameter.name: _domain(parameter) for parameter in space}


def to_mutations(space: Space) -> dict[str, Any]:
    """`hyperparam_mutations` of PBT: lists, in which a value moves to a neighbour, and domains."""
    return {
        parameter.name: _values(parameter) if parameter.form in LISTS else _domain(parameter) for parameter in space
    }


def clip(space: Space, sampled: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `sampled` with every number back in its range and on its step, off which PBT multiplies it."""
    ranges = [parameter for parameter in space if parameter.form not in LISTS]
    return {**sampled, **{parameter.name: _nearest(parameter, sampled[parameter.name]) for parameter in ranges}}


def _nearest(parameter: Parameter, value: Any) -> Any:
    low, high, *step = parameter.arguments
    if step:
        value = round(value / step[0]) * step[0]
    if parameter.form == "randint":
        value, high = round(value), high - 1
    return min(max(value, low), high)


def _domain(parameter: Parameter) -> Any:
    from ray import tune

    if parameter.form == "grid":
        return tune.grid_search(_values(parameter))
    if parameter.form == "choice":
        return tune.choice(_values(parameter))
    arguments = tuple(map(int, parameter.arguments)) if parameter.form == "randint" else parameter.arguments
    return getattr(tune, parameter.form)(*arguments)


def _values(parameter: Parameter) -> list[Any]:
    return [json.dumps(value) if parameter.is_packed else value for value in parameter.arguments]
