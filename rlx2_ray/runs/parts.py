"""What the files of a run may say: each is read here alone, and comes out typed and within bounds, or as a ValueError.

A directory may come from somebody else, who may have altered it and made all digests anew.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlx2_ray import files, json_text
from rlx2_ray.config import Tree
from rlx2_ray.runs import sealed
from rlx2_ray.strict import LARGEST, Count, first_problem

# Bytes. The largest run there can be evaluates some 10,000 times.
MOST_ORIGIN, MOST_RESULT, MOST_POINTS, MOST_MARK = 2**20, 2**26, 2**28, 100

Point = dict[str, Any]  # one evaluation: the keys of COUNTS and RETURNS, and metrics
COUNTS = ("env_steps", "learner_steps")
RETURNS = ("return_mean", "return_std")
LONG = 2**63  # beyond the whole numbers that a table of points holds

Text = Annotated[str, Field(max_length=4096)]
Name = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
Identifier = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]  # MLflow's
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Model = TypeVar("Model", bound=BaseModel)


class Origin(NamedTuple):
    """What a run knows of itself beside its configuration, fixed when it begins."""

    trial_key: str  # tag rlx2.trial_key of its MLflow run
    tracking_uri: str
    experiment: str  # of MLflow
    config_sha256: str | None = None  # of config.yaml, in hexadecimal; None: not known of a run of an earlier version
    changes: Tree = {}  # of the configuration, since the run began
    parent_run_id: str | None = None
    tags: dict[str, str] = {}
    result_sha256: str | None = None  # of what result.json says; None: not known


class _Head(BaseModel):
    model_config = ConfigDict(strict=True, defer_build=True)


class _Origin(_Head, extra="forbid"):
    trial_key: Name
    tracking_uri: Text
    experiment: Name
    config_sha256: Digest | None = None
    changes: dict[str, Any] = {}
    parent_run_id: Identifier | None = None
    tags: dict[Name, Text] = {}
    result_sha256: Digest | None = None


class _Deployed(_Head, extra="allow"):
    return_mean: Finite
    return_std: Finite
    episodes: Annotated[Count, Field(ge=1)]


class _Result(_Head, extra="allow"):
    """What every version has written, and what some have."""

    env_id: Name
    algo: Name
    method: Name
    seed: Count
    engine: Name
    runtime: Name
    env_steps: Annotated[Count, Field(ge=1)]
    learner_steps: Count
    ended_early: bool
    score: Finite
    policy_sparsity: Finite
    critic_sparsity: Finite
    active_weights: Count
    size_ratio: Finite
    compression: Finite
    train_flops_ratio_paper: Finite
    train_flops_ratio_counted: Finite
    inference_flops_ratio: Finite
    policy_c_bytes: Count | None = None
    policy_c_bytes_int8: Count | None = None
    env_steps_per_s: Finite
    learner_steps_per_s: Finite
    wall_s: Above
    policy_digest: Identifier
    mlflow_run_id: Identifier | None
    checkpoint: Text | None
    versions: dict[Name, Name]
    faults: dict[Name, Count] = {}
    evaluations: list[dict[str, Finite]] | None = None
    score_window: Count = 1
    evaluation_s: Finite | None = None
    deployed: _Deployed | None = None


def read_origin(file: Path) -> Origin:
    """Raises ValueError, or OSError where it cannot be read."""
    content = sealed.parse(files.read(file, MOST_ORIGIN))
    return Origin(**_check(_Origin, content).model_dump())


def read_result(file: Path) -> dict[str, Any]:
    """The keys and values of result.json. Raises ValueError, or OSError where it cannot be read."""
    return check_result(json_text.parse_object(files.read(file, MOST_RESULT)))


def check_result(content: dict[str, Any]) -> dict[str, Any]:
    """The same keys and values, of which those that are known are what they should be. Raises ValueError."""
    _check(_Result, content)
    return content


def parse_point(line: bytes) -> Point:
    """One line of progress.jsonl. Raises ValueError."""
    return check_point(json_text.parse_object(line))


def check_point(point: Point) -> Point:
    """Returns the point. Raises ValueError where a value is no number, or one that all points have is missing."""
    for name, value in point.items():
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise ValueError(f"{name[:80]!r} is no number")
        if isinstance(value, int) and not -LONG <= value < LONG:
            raise ValueError(f"{name[:80]!r} is too large")
    if not all(isinstance(point.get(name), int) and 0 <= point[name] <= LARGEST for name in COUNTS):
        raise ValueError("no point")
    if not all(isinstance(value := point.get(name), int | float) and math.isfinite(value) for name in RETURNS):
        raise ValueError("no point")
    return point


def _check(model: type[Model], content: dict[str, Any]) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
