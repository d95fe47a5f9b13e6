"""What every file of a policy says beside the numbers: its algorithm, environment, spaces, and where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import EnvConfig, validate
from rlx2_ray.config.plain_values import plain_value
from rlx2_ray.networks import policy_reader
from rlx2_ray.networks.policy_reader import shorten
from rlx2_ray.types import BadInput, Damaged, Spaces, cut

LONGEST_NAME = 250  # characters; the longest id that gymnasium itself has is 30
LONGEST_PROBLEM = 200
Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME)]


class Head(NamedTuple):
    algo: str
    env: dict[str, Any]  # the fields of an EnvConfig
    spaces: Spaces
    about: dict[str, Any]


class _About(BaseModel):
    """The keys that an export says something of; files of earlier versions lack some, and a policy may lack all."""

    model_config = ConfigDict(extra="allow", strict=True)

    algo: Name | None = None
    method: Name | None = None
    env_steps: int | None = None
    learner_steps: int | None = None
    score: float | None = None
    return_mean: float | None = None


def read_head(path: Path, algo: Any, env: Any, spaces: Any, about: Any) -> Head:
    """Returns what `path` says, from values of JSON.

    Raises Damaged where a value is missing, or is none that this program writes.
    """
    if not isinstance(algo, str) or algo not in ALGORITHMS:
        raise damaged(path, f"its algorithm is {shorten(algo)}")
    try:
        known = Spaces(**policy_reader.parse_spaces(spaces))
    except ValueError as problem:
        raise Damaged(f"{path} {problem}") from None
    return Head(algo, _read_env(path, env), known, _read_about(path, about))


def damaged(path: Path, what: str) -> Damaged:
    in_one_line = " ".join(what.encode(errors="backslashreplace").decode().split())
    return Damaged(f"{path} {policy_reader.wrong(in_one_line)}")


def _read_env(path: Path, env: Any) -> dict[str, Any]:
    """One without an id is not taken for a policy of the default environment."""
    if not isinstance(env, dict) or not isinstance(env.get("id"), str) or len(env["id"]) > LONGEST_NAME:
        raise damaged(path, f"its environment is {shorten(env)}")
    try:
        return validate(EnvConfig, env, "env").fields()
    except BadInput as problem:
        raise damaged(path, f"of its environment: {cut(str(problem), LONGEST_PROBLEM)}") from None


def _read_about(path: Path, about: Any) -> dict[str, Any]:
    try:
        _About.model_validate(plain_value(about, "about"))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise damaged(path, f"what it says of its run is none that a run has, {shorten(where)}") from None
    except BadInput as problem:
        raise damaged(path, cut(str(problem), LONGEST_PROBLEM)) from None
    return dict(about)
