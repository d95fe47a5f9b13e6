"""Tune's schedulers, told of what the trials of a sweep that goes on had reported before: Tune itself forgets it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining

from rlx2_ray.sweep.trials.reports import Report

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController

Before = Mapping[str, Sequence[Report]]  # by name of the trial
NameOf = Callable[[Trial], str]


class Named(NamedTuple):
    """A trial by its name, which it keeps in all processes."""

    trial_id: str


class Asha(ASHAScheduler):  # type: ignore[misc]
    def __init__(self, before: Before, name_of: NameOf, **options: Any) -> None:
        super().__init__(**options)
        self._before, self._name_of = before, name_of

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        for name, reports in self._before.items():
            self._recall(tune_controller, Named(name), reports)
        self._before = {}
        if self._name_of(trial) not in self._trial_info:
            super().on_trial_add(tune_controller, Named(self._name_of(trial)))

    def _recall(self, tune_controller: TuneController, trial: Named, reports: Sequence[Report]) -> None:
        super().on_trial_add(tune_controller, trial)
        for report in reports:
            value = self._metric_op * report[self._metric]
            self._trial_info[trial.trial_id].on_result(trial, report[self._time_attr], value)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Report) -> str:
        decision: str = super().on_trial_result(tune_controller, Named(self._name_of(trial)), result)
        return decision

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: Report) -> None:
        super().on_trial_complete(tune_controller, Named(self._name_of(trial)), result)

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        super().on_trial_remove(tune_controller, Named(self._name_of(trial)))


class Pbt(PopulationBasedTraining):  # type: ignore[misc]
    """What a trial was given by another is in its own directory; which checkpoints others may take is asked anew."""

    def __init__(self, before: Before, name_of: NameOf, **options: Any) -> None:
        super().__init__(**options)
        self._before, self._name_of = before, name_of

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        super().on_trial_add(tune_controller, trial)
        for report in list(self._before.get(self._name_of(trial), ()))[-1:]:
            time, state = report[self._time_attr], self._trial_state[trial]
            self._save_trial_state(state, time, report, trial)
            state.last_perturbation_time = time // self._perturbation_interval * self._perturbation_interval
