"""What a sweep varies: the `param_space` of its file as typed parameters, free of Ray.

A key of the configuration, dotted or nested, has one of Tune's forms, with Tune's meaning:

    grid: [a, b]          every value, in every combination with the other grids
    choice: [a, b]        one of the values at random
    uniform: [lo, hi]     a number, lo <= x < hi; loguniform the same on a logarithmic scale
    quniform: [lo, hi, q] a multiple of q, lo <= x <= hi
    randint: [lo, hi]     a whole number, lo <= x < hi

Keys joined by commas go together: `"sparsity.policy, sparsity.critic": {grid: [[0.9, 0.8], [0.98, 0.95]]}` are two
points, not four.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from rlx2_ray.config import Tree, merge, unflatten
from rlx2_ray.types import BadInput

LISTS = ("grid", "choice")  # forms whose arguments are the values themselves
LENGTHS = {"uniform": 2, "loguniform": 2, "quniform": 3, "randint": 2}  # of the arguments of the other forms
FORMS = (*LISTS, *LENGTHS)
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")  # in the name of a file
LONGEST_NAME = 120  # characters; file systems allow 255 bytes


@dataclass(frozen=True)
class Parameter:
    """One thing that varies. With several keys, every argument is a tuple with a value for each."""

    keys: tuple[str, ...]
    form: str  # one of FORMS
    arguments: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The name in the file, and in Tune."""
        return ", ".join(self.keys)

    @property
    def is_packed(self) -> bool:
        """Whether Tune is given the values as JSON text, since it is at home with plain values only."""
        return self.form in LISTS and any(isinstance(value, list | tuple | dict) for value in self.arguments)


Space = tuple[Parameter, ...]


def parse_space(tree: object, section: str = "param_space") -> Space:
    """The parameters of a `param_space`, in its order; `section` is where the file has it. Raises BadInput."""
    if not isinstance(tree, Mapping):
        raise BadInput(f"{section} is {tree!r}: it should hold keys and forms, such as {_example('sparsity.policy')}.")
    space = tuple(_parameters(tree, "", section))
    counts = Counter(key for parameter in space for key in parameter.keys)
    twice = [key for key, count in counts.items() if count > 1]
    if twice:
        raise BadInput(f"{twice[0]} is in {section} more than once: keep one of them.")
    return space


def to_tree(space: Space) -> Tree:
    """The `param_space` that parses to these parameters; plain values only."""
    return {parameter.name: {parameter.form: _plain(parameter.arguments)} for parameter in space}


def varied_keys(space: Space) -> list[str]:
    return [key for parameter in space for key in parameter.keys]


def count_trials(space: Space, num_samples: int) -> int:
    """Trials that Tune makes of it: every grid point `num_samples` times."""
    return num_samples * math.prod(len(parameter.arguments) for parameter in space if parameter.form == "grid")


def select(space: Space, values: Mapping[str, Any]) -> Space:
    """The space with only those points that have these values, by dotted key. Raises BadInput where there are none."""
    return tuple(_select(parameter, values) for parameter in space)


def unpack(space: Space, sampled: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of the configuration, from what Tune drew under the parameters' names."""
    changes: dict[str, Any] = {}
    for parameter in space:
        value = _unpack_one(parameter, sampled[parameter.name])
        values = (value,) if len(parameter.keys) == 1 else value
        changes |= zip(parameter.keys, values, strict=True)
    return changes


def pack(space: Space, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Do the reverse of `unpack`; None where the values are none of the space."""
    drawn: dict[str, Any] = {}
    for parameter in space:
        there = [values.get(key) for key in parameter.keys]
        value = there[0] if len(there) == 1 else there
        if parameter.form in LISTS:
            if value not in _plain(parameter.arguments):
                return None
            value = parameter.arguments[_plain(parameter.arguments).index(value)]
        drawn[parameter.name] = json.dumps(value) if parameter.is_packed else value
    return drawn


def config_of(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Tree:
    """Returns the base with one sample's values."""
    return merge(base, unflatten(changes))


def trial_name(changes: Mapping[str, Any], label: str) -> str:
    """Returns such as `00007-sparsity.policy=0.9-seed=1`: a safe name of a directory, its own by the label."""
    parts = [label, *(f"{key}={_short(value)}" for key, value in changes.items())]
    return UNSAFE.sub("_", "-".join(parts))[:LONGEST_NAME].rstrip("._-")


def _example(key: str) -> str:
    return f"{key}: {{grid: [...]}}"


def _parameters(tree: Mapping[Any, Any], prefix: str, section: str) -> Iterable[Parameter]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if not isinstance(value, Mapping) or not value:
            raise BadInput(f"{name} is {value!r} in {section}: give it a form, such as {_example(name)}.")
        if set(value) & set(FORMS):
            yield _parameter(tuple(f"{prefix}{part.strip()}" for part in str(key).split(",")), value, section)
        elif all(isinstance(inner, Mapping) for inner in value.values()):
            yield from _parameters(value, f"{name}.", section)
        else:
            form, arguments = next(item for item in value.items() if not isinstance(item[1], Mapping))
            raise BadInput(
                f"{name} has {form}: {arguments!r} in {section}, which is no form: choose one of {', '.join(FORMS)}."
            )


def _parameter(keys: tuple[str, ...], value: Mapping[Any, Any], section: str) -> Parameter:
    name = ", ".join(keys)
    if len(value) > 1:
        raise BadInput(f"{name} has {' and '.join(map(str, value))} in {section}: keep one form.")
    form, given = next(iter(value.items()))
    if not isinstance(given, list | tuple) or not given:
        raise BadInput(f"{name} has {form}: {given!r} in {section}: write a list, such as {_example(name)}.")
    arguments = tuple(given)
    if form in LISTS:
        return Parameter(keys, form, arguments if len(keys) == 1 else _tie(keys, form, arguments))
    if len(keys) > 1:
        raise BadInput(f"{name} has {form} in {section}: only grid and choice set several keys together.")
    arguments = tuple(map(_number_of, given))
    _check_range(name, form, arguments)
    return Parameter(keys, form, arguments)


def _number_of(value: object) -> object:
    """1e-4 as a number, which files of earlier versions have as text."""
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def _tie(keys: tuple[str, ...], form: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    for values in arguments:
        if not isinstance(values, list | tuple) or len(values) != len(keys):
            raise BadInput(
                f"{', '.join(keys)} has {values!r} in its {form}: write a list of {len(keys)} values, one for each key."
            )
    return tuple(map(tuple, arguments))


def _check_range(name: str, form: str, arguments: tuple[Any, ...]) -> None:
    def refuse(remedy: str) -> NoReturn:
        raise BadInput(f"{name} has {form}: {list(arguments)}: {remedy}.")

    if len(arguments) != LENGTHS[form]:
        refuse("write [lowest, highest, step]" if form == "quniform" else "write [lowest, highest]")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in arguments):
        refuse("write numbers")
    low, high = arguments[:2]
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        refuse("the first should be below the second, and both finite")
    if form == "loguniform" and low <= 0:
        refuse("on a logarithmic scale the lowest should be above 0")
    if form == "quniform" and not _are_multiples(arguments[2], low, high):
        refuse("the step should be above 0, and lowest and highest multiples of it")
    if form == "randint" and not all(value == int(value) for value in arguments):
        refuse("write whole numbers")


def _are_multiples(step: float, *values: float) -> bool:
    counts = [x / step for x in values] if 0 < step < math.inf else [math.inf]
    return all(math.isfinite(count) and math.isclose(count, round(count)) for count in counts)


def _select(parameter: Parameter, values: Mapping[str, Any]) -> Parameter:
    arguments = parameter.arguments
    for place, key in enumerate(parameter.keys):
        if key not in values:
            continue
        there = [argument if len(parameter.keys) == 1 else argument[place] for argument in arguments]
        kept = [str(value) == str(values[key]) for value in there]  # options are text
        if parameter.form not in LISTS or not any(kept):
            raise BadInput(f"{key} is {values[key]!r}, but varies in {parameter.form}: {there}: choose one of a list.")
        arguments = tuple(itertools.compress(arguments, kept))
    return replace(parameter, arguments=arguments)


def _unpack_one(parameter: Parameter, value: Any) -> Any:
    if parameter.is_packed:
        return json.loads(value)
    value = value.item() if hasattr(value, "item") else value  # a numpy scalar
    return float(f"{value:.12g}") if parameter.form == "quniform" else value  # 0.3, not 0.30000000000000004


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return "x".join(map(_short, value))
    return json.dumps(value).replace('"', "").replace(" ", "") if isinstance(value, dict) else str(value)
