"""What a population does not have is refused before it begins, by its key."""

from __future__ import annotations

from typing import Any

import pytest

from rlx2_ray.agents.engines import check_engine
from rlx2_ray.types import BadInput
from tests.support.runs import small_config


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"runtime.kind": "actors"}, "is its own runtime"), ({"runtime.envs_per_rollout": 2}, "has one environment")],
)
def test_runtimes_that_it_does_not_have(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        check_engine(small_config(engine="population", **changes))
