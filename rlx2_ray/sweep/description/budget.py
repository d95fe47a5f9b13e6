"""What a sweep or a compression may cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rlx2_ray.config import Positive, Section


class Budget(Section):
    """What the whole may cost; whichever is spent first ends it. None: no limit."""

    hours: Annotated[float, Field(gt=0)] | None = None  #: that it may take
    env_steps: Positive | None = None  #: env steps of all runs together
    runs: Positive | None = None  #: runs that may begin
