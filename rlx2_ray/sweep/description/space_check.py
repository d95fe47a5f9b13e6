"""Whether every configuration that a space can lead to exists, found out before anything starts."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from rlx2_ray.config import EnvConfig, ExperimentConfig, flatten, resolve
from rlx2_ray.sweep.description.space import LISTS, Parameter, Space, config_of, varied_keys
from rlx2_ray.types import BadInput

MOST_COMBINATIONS = 10_000  # 20 microseconds each
Changes = dict[str, Any]


def check_space(base: Mapping[str, Any], space: Space) -> None:
    """Raises BadInput for the first value, range's end or combination of these that is no configuration.

    Up to `MOST_COMBINATIONS` are looked at; of more, so many at random, which have every value many times.
    """
    keys = varied_keys(space)
    for key in flatten(base):
        if key in keys:
            raise BadInput(f"{key} has a value of its own and is varied as well: leave one of them out.")
    for parameter in space:
        if parameter.form in ("uniform", "loguniform") and _is_count(parameter.keys[0]):
            raise BadInput(
                f"{parameter.name} has {parameter.form}: {list(parameter.arguments)}, but takes whole numbers: "
                "write randint, or quniform with a whole step."
            )
    for changes in _combinations([_points(parameter) for parameter in space]):
        resolve(config_of(base, changes))


def first_config(base: Mapping[str, Any], space: Space) -> ExperimentConfig:
    """Returns that of one trial: all parameters at their first value or lowest end."""
    return resolve(config_of(base, {key: value for parameter in space for key, value in _points(parameter)[0].items()}))


def environments(base: Mapping[str, Any], space: Space) -> list[EnvConfig]:
    """Those that trials may have, each of what is varied of them beside the first value of all else."""
    first = {key: value for parameter in space for key, value in _points(parameter)[0].items()}
    varied = [parameter for parameter in space if any(key.startswith("env.") for key in parameter.keys)]
    changes = [first, *(first | point for parameter in varied for point in _points(parameter))]
    return [resolve(config_of(base, each)).env for each in changes]


def each_value(base: Mapping[str, Any], space: Space) -> dict[str, ExperimentConfig]:
    """By what is told of it: every value of each parameter, or both its ends, beside the first values of the others."""
    first = {key: value for parameter in space for key, value in _points(parameter)[0].items()}
    points = (point for parameter in space for point in _points(parameter))
    return {
        "with " + ", ".join(f"{key} {value}" for key, value in point.items()): resolve(config_of(base, first | point))
        for point in points
    }


def _points(parameter: Parameter) -> list[Changes]:
    """What it sets the keys to: all values of a list, both ends of a range."""
    if parameter.form in LISTS:
        several = len(parameter.keys) > 1
        return [dict(zip(parameter.keys, value if several else (value,), strict=True)) for value in parameter.arguments]
    low, high = parameter.arguments[:2]
    last = high - 1 if parameter.form == "randint" else high
    return [{parameter.keys[0]: low}, {parameter.keys[0]: last}]


def _combinations(axes: list[list[Changes]]) -> Iterator[Changes]:
    if math.prod(map(len, axes)) <= MOST_COMBINATIONS:
        chosen: Iterator[tuple[Changes, ...]] = itertools.product(*axes)
    else:
        chosen = _random_combinations(axes)
    for parts in chosen:
        yield {key: value for part in parts for key, value in part.items()}


def _random_combinations(axes: list[list[Changes]]) -> Iterator[tuple[Changes, ...]]:
    """Every axis goes through its values again and again, each time in a new order."""
    generator = random.Random(0)
    number = max(MOST_COMBINATIONS, *map(len, axes))
    columns = [_shuffled_rounds(axis, number, generator) for axis in axes]
    return zip(*columns, strict=True)


def _shuffled_rounds(axis: list[Changes], number: int, generator: random.Random) -> list[Changes]:
    rounds = math.ceil(number / len(axis))
    return [value for _ in range(rounds) for value in generator.sample(axis, len(axis))][:number]


def _is_count(dotted_key: str) -> bool:
    """Whether the configuration has a whole number there."""
    model: Any = ExperimentConfig
    for part in dotted_key.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields):
            return False
        model = model.model_fields[part].annotation
    return model is int
