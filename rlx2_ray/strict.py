"""Models of files that somebody else may have written: values of exactly the stated types, and no others."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MOST = 1 << 60  # of any counter, so that sums of them stay within 64 bits
SHOWN = 160  # letters of what is wrong

Count = Annotated[int, Field(ge=0, le=MOST)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def first_problem(error: ValidationError) -> str:
    """Where a value is wrong and how, in a few words, which do not repeat the value."""
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{place} {message}".strip()[:SHOWN]
