"""When a budget is spent."""

from __future__ import annotations

import time

import pytest

from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.sweep.desk.spending import Spending


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_no_budget_is_never_spent(clock: Clock) -> None:
    spending = Spending(Budget())
    clock.now += 1e9
    assert spending.what_is_spent(10**12, 10**6) is None


@pytest.mark.parametrize(
    ("budget", "spent", "runs", "words"),
    [
        (Budget(env_steps=500), 499, 0, None),
        (Budget(env_steps=500), 500, 0, "the budget of 500 env steps"),
        (Budget(runs=3), 10**9, 2, None),
        (Budget(runs=3), 0, 3, "the budget of 3 runs"),
        (Budget(runs=3, env_steps=500), 499, 2, None),
        (Budget(runs=3, env_steps=500), 499, 4, "the budget of 3 runs"),
        (Budget(runs=3, env_steps=500), 501, 1, "the budget of 500 env steps"),
    ],
)
def test_env_steps_and_runs(budget: Budget, spent: int, runs: int, words: str | None) -> None:
    assert Spending(budget).what_is_spent(spent, runs) == words


def test_hours_of_all_processes_count(clock: Clock) -> None:
    first = Spending(Budget(hours=0.5))
    clock.now += 1000
    assert first.what_is_spent(0) is None
    assert first.worked_s == 1000

    clock.now += 10**6  # in which nobody worked
    resumed = Spending(Budget(hours=0.5), first_worked := 1000.0)
    assert resumed.worked_s == first_worked
    clock.now += 799
    assert resumed.what_is_spent(0) is None
    clock.now += 1
    assert resumed.what_is_spent(0) == "the budget of 0.5 hours"
