"""When evaluations, capacity checks and checkpoints are due."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.config import resolve
from rlx2_ray.experiment.milestones import Milestones


def make(evaluation: int = 40, check: int = 30, checkpoint: int = 50, steps: int = 100) -> Milestones:
    tree = {
        "steps": steps,
        "evaluation": {"interval": evaluation},
        "replay": {"check_interval": check},
        "checkpoint": {"interval": checkpoint},
    }
    return Milestones(resolve(tree))


@pytest.mark.parametrize(
    ("steps", "due"),
    [
        (range(1, 101), [30, 60, 90]),  # one by one, as inline
        ([29, 31, 59, 61, 100], [31, 61, 100]),  # passed, and not hit
        ([95], [95]),  # three multiples at once are one check
        ([29], []),
        ([31, 28, 31, 60], [31, 60]),  # env steps that were lost and taken again
    ],
)
def test_check_is_due_once_a_multiple_is_passed(steps: Sequence[int], due: list[int]) -> None:
    milestones = make()
    assert [step for step in steps if milestones.reaches_check(step)] == due


def test_evaluations_are_owed_for_every_multiple_and_for_the_end() -> None:
    milestones, owed = make(), []
    while not milestones.are_all_evaluated:
        owed.append(milestones.next_evaluation)
        milestones.evaluated = milestones.next_evaluation
    assert owed == [40, 80, 100]


RARE = {"steps": 95, "evaluation": {"interval": 10, "early_interval": 30, "score_window": 3}}


def owed_after(evaluated: int) -> list[int]:
    """The evaluations that are still owed by a run that goes on after the one of `evaluated`."""
    milestones, owed = Milestones(resolve(RARE)), []
    milestones.restore({"policy_distance": None}, evaluated, evaluated)
    while not milestones.are_all_evaluated:
        owed.append(milestones.next_evaluation)
        milestones.evaluated = milestones.next_evaluation
    return owed


@pytest.mark.parametrize("evaluated", [0, 30, 60, 80, 90, 95])
def test_evaluations_are_rare_before_those_that_are_scored_in_a_run_that_goes_on_too(evaluated: int) -> None:
    assert owed_after(evaluated) == [step for step in (30, 60, 80, 90, 95) if step > evaluated]


def due_steps(milestones: Milestones, steps: Sequence[int]) -> list[int]:
    return [step for step in steps if milestones.reaches_checkpoint(step) | milestones.reaches_check(step)]


@given(st.integers(1, 20), st.integers(1, 60), st.integers(0, 60))
def test_going_on_asks_for_what_not_stopping_would(interval: int, steps: int, stop: int) -> None:
    """A run that is stopped, saved and resumed at any env step has its checkpoints at the same ones."""
    whole, first, second = (make(checkpoint=interval, check=interval, steps=1000) for _ in range(3))
    stop = min(stop, steps)
    before = due_steps(first, range(1, stop + 1))
    second.restore(first.state(), stop, evaluated=0)
    due = due_steps(whole, range(1, steps + 1))
    after = due_steps(second, range(stop + 1, steps + 1))
    assert before + after == due


@pytest.mark.parametrize("distance", [float("nan"), 0.0, 0.25])
def test_policy_distance_survives_json_which_has_no_nan(distance: float) -> None:
    milestones, again = make(), make()
    milestones.policy_distance = distance
    again.restore(json.loads(json.dumps(milestones.state(), allow_nan=False)), 10, 0)
    assert again.policy_distance == distance or (math.isnan(again.policy_distance) and math.isnan(distance))


def test_state_of_an_earlier_version_has_no_check_and_counts_as_checked() -> None:
    milestones = make()
    milestones.restore({"policy_distance": None}, 60, 40)
    assert not milestones.reaches_check(60)
    assert milestones.reaches_check(90)
