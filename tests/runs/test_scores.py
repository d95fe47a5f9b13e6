"""The two scores in a run's result: one never stands in for the other."""

from __future__ import annotations

import pytest

from rlx2_ray.config import Tree
from rlx2_ray.runs.scores import DEPLOYED, FINAL, OTHER, score_of

PLAYED: Tree = {"score": 3000.0, "deployed": {"env_steps": 5, "return_mean": 3200.5, "return_std": 9.0, "episodes": 30}}


def test_each_is_by_its_name() -> None:
    assert (score_of(PLAYED, FINAL), score_of(PLAYED, DEPLOYED)) == (3000.0, 3200.5)


@pytest.mark.parametrize("result", [{"score": 3000.0}, {"score": 3000.0, "deployed": None}])
def test_run_that_was_not_played_has_one(result: Tree) -> None:
    assert (score_of(result, FINAL), score_of(result, DEPLOYED)) == (3000.0, None)


def test_each_is_the_other_of_the_other() -> None:
    assert [OTHER[OTHER[name]] for name in OTHER] == list(OTHER)
