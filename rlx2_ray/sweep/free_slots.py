"""The slot of a trial that has failed for good is for the next one, also where its process could not leave it."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.experiment import Trial

from rlx2_ray.sweep.planner import name_of
from rlx2_ray.sweep.trials.job import Job


class FreeSlots(tune.Callback):  # type: ignore[misc]
    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def __reduce__(self) -> Any:
        """Tune stores its callbacks with the sweep; nobody reads that, but for copies in this process."""
        return FreeSlots, (self._job,)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        name = name_of(self._job.planner, trial)
        for population in self._job.populations:
            population.leave.remote(name)  # in vain where its process is just replaced, which has nothing to leave
