"""What pydantic finds wrong, as one sentence that names the key, the value and the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from rlx2_ray.types import BadInput, cut, shown

Model = TypeVar("Model", bound=BaseModel)

MEANT = {  # names that others give to what has another one here, and what to write
    "env.frame_skip": "env.action_repeat repeats each action, and env.kwargs.frame_skip is MuJoCo's own, where an "
    "environment takes one.",
    "env.max_episode_steps": "did you mean env.time_limit?",
}


def validate(model: type[Model], tree: object, section: str = "") -> Model:
    """The model from its keys; `section` is where a file has them. Raises BadInput."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise BadInput(_sentence(error, model, section)) from None


def _sentence(error: ValidationError, model: type[BaseModel], section: str) -> str:
    """The first problem in one sentence: unknown keys first, since a mistyped key explains what follows from it."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    value = shown(problem["input"])
    key = cut(".".join(str(part) for part in ([section] if section else []) + list(problem["loc"])), 200)
    known = all_keys(model, f"{section}." if section else "")
    if problem["type"] == "extra_forbidden":
        return unknown_key(key, known)
    if problem["type"] == "model_type":
        example = next((f", such as {each}" for each in known if each.startswith(f"{key}.")), "")
        return f"{key} is {value}: it should hold keys and values{example}."
    message = re.sub("^(Input|String|Tuple|List|Dictionary) should", "it should", problem["msg"])
    return f"{key} is {value}: {message.removeprefix('Value error, ')}."


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence about a key that is none of the known ones; the section that it is in is one."""
    if key in MEANT:
        return f"There is no key {key}: {MEANT[key]}"
    section, _, name = key.rpartition(".")
    prefix = f"{section}." if section else ""
    names = sorted({other.removeprefix(prefix).partition(".")[0] for other in known if other.startswith(prefix)})
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"There is no key {key}: did you mean {prefix}{near[0]}?"
    hint = f"{section} has {', '.join(names)}." if section else "see config.yaml of any run for all keys."
    return f"There is no key {key}: {hint}"


def all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of a model whose sections are models."""
    keys = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += all_keys(kind, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys
