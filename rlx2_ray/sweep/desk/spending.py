"""How much of a budget is spent."""

from __future__ import annotations

import time

from rlx2_ray.sweep.description.budget import Budget


class Spending:
    def __init__(self, budget: Budget, worked_before_s: float = 0.0) -> None:
        """`worked_before_s`: by earlier processes, of a campaign that was resumed."""
        self._budget = budget
        self._before_s = worked_before_s
        self._started = time.monotonic()

    @property
    def worked_s(self) -> float:
        return self._before_s + time.monotonic() - self._started

    def what_is_spent(self, env_steps: int, runs: int = 0) -> str | None:
        """Returns the limit that is reached, in words; None while there is room for more."""
        budget = self._budget
        if budget.env_steps is not None and env_steps >= budget.env_steps:
            return f"the budget of {budget.env_steps} env steps"
        if budget.runs is not None and runs >= budget.runs:
            return f"the budget of {budget.runs} runs"
        if budget.hours is not None and self.worked_s >= 3600 * budget.hours:
            return f"the budget of {budget.hours:.4g} hours"
        return None
