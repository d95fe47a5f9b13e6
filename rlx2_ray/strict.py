"""Models of files that somebody else may have written: values of exactly the stated types, and no others."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LARGEST = 10**15  # beyond it a count is a slip, and sums of counts would leave 64 bits
SHOWN, SHOWN_PLACE = 160, 80  # letters of what is wrong, and of where

Count = Annotated[int, Field(ge=0, le=LARGEST)]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def first_problem(error: ValidationError) -> str:
    """Where a value is wrong and how, in a few words, which do not repeat the value."""
    problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(map(str, problem["loc"]))[:SHOWN_PLACE]
    if problem["type"] == "missing":
        return f"no {place!r}"
    message = problem["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{place} {message}".strip()[:SHOWN]
