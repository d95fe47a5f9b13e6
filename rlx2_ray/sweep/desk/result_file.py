"""`result.json` of a sweep or a compression, as it may be read: typed and within bounds, or a ValueError."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlx2_ray import files
from rlx2_ray.report.record.file import parse_content
from rlx2_ray.report.record.record import Part, Record
from rlx2_ray.runs import sealed
from rlx2_ray.runs.parts import Finite, Name, Text
from rlx2_ray.runs.scores import FINAL, ScoreName
from rlx2_ray.strict import Count, first_problem

MOST_BYTES = 2**26  # 10,000 trials with what varies in them


class _Head(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)

    directory: Text = ""
    report: Text
    answer: Text | None = None  # None: of an earlier version


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)

    name: Part
    state: Name
    env_steps: Count
    score: Finite | None = None
    deployed: Finite | None = None


class _Best(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)
    __pydantic_extra__: dict[str, Finite]

    name: Part


class _Sweep(_Head):
    kind: Literal["sweep"]
    directory: Text
    metric: Name
    trials: list[_Row]
    best: _Best | None
    ended_by: Text | None = None


class _Compression(_Head):
    kind: Literal["compress"]
    threshold: Annotated[Finite, Field(ge=0)]
    decided_by: ScoreName = FINAL


KINDS: dict[str, type[_Sweep | _Compression]] = {"sweep": _Sweep, "compress": _Compression}


def read_result(file: Path, kind: str) -> dict[str, Any]:
    """The keys and values of one of that kind. Raises ValueError, or OSError where it cannot be read."""
    content = sealed.parse(files.read(file, MOST_BYTES))
    try:
        result = KINDS[kind].model_validate(content)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    if isinstance(result, _Sweep) and result.best is not None and result.metric not in (result.best.model_extra or {}):
        raise ValueError("no metric of the best trial")
    if isinstance(result, _Compression):
        record_of(content)
    return content


def record_of(result: dict[str, Any]) -> Record:
    """What the result of a compression repeats of its record. Raises ValueError where it repeats none."""
    rule = {"threshold": result["threshold"], "score": result.get("decided_by", FINAL)}
    rule |= {"objective": result["objective"]} if "objective" in result else {}
    known = {key: result.get(key) for key in ("dense", "decisions", "ultimate", "runs", "env_steps", "messages")}
    name = Path(result.get("directory", "")).name or "compression"
    return parse_content({"kind": "compress", "name": name, "state": "finished", "protocol": rule, **known})
