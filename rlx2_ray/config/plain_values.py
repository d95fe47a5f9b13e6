"""Values whose form nobody fixes, such as env.kwargs: what every file of a run brings back equal, or a sentence.

They pass through YAML, JSON and MLflow and back, so that a run resumes as it began and is known by its hash.
"""

from __future__ import annotations

import math
from typing import Any

from rlx2_ray.json_text import MOST_DIGITS
from rlx2_ray.types import BadInput, shown

DEEPEST = 50  # levels, beyond which a value is a slip, or within itself


def plain_value(value: object, key: str, depth: int = 0) -> Any:
    """The value of texts, numbers, true, false, null, lists and mappings alone; tuples become lists. Raises BadInput.

    `key` is where it stands.
    """
    if depth > DEEPEST:
        raise BadInput(f"{key[:80]} is nested more than {DEEPEST} deep: give fewer levels.")
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            _check_scalar(value, key)
            return str.__str__(value) if kind is str else kind(value)  # of subclasses, such as numpy.float64, the value
    if isinstance(value, list | tuple):
        return [plain_value(each, f"{key}[{place}]", depth + 1) for place, each in enumerate(value)]
    if isinstance(value, dict):
        return {_name(name, key): plain_value(each, f"{key}.{name}", depth + 1) for name, each in value.items()}
    raise BadInput(
        f"{key} is {shown(value)}, of type {type(value).__name__}, which the files of a run do not bring back: write a "
        "text, a number, true, false, null, a list or keys and values."
    )


def _name(name: object, key: str) -> str:
    if not isinstance(name, str):
        raise BadInput(f"{key} has the key {shown(name)}, which is no text: put it in quotes.")
    _check_text(name, key)
    return str(name)


def _check_scalar(value: int | float | str, key: str) -> None:
    if isinstance(value, str):
        _check_text(value, key)
    elif isinstance(value, float) and math.isnan(value):
        raise BadInput(f"{key} is nan, which equals nothing, not even itself: write null, or a number.")
    elif isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
        raise BadInput(f"{key} is a whole number of more than {MOST_DIGITS} digits: put it in quotes.")


def _check_text(text: str, key: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{key} has {shown(text)}, which is no valid Unicode: correct it.") from None
