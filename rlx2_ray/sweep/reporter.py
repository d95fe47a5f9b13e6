"""What Tune tells of the trials while they run: shown to the user, and kept in the record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ray import tune
from ray.tune.experiment import Trial

from rlx2_ray import files
from rlx2_ray.experiment.display import Display, Status
from rlx2_ray.experiment.pace import Pace, rate_of
from rlx2_ray.sweep.description.reported import OF_DEPLOYED
from rlx2_ray.sweep.desk.record_keeper import RecordKeeper
from rlx2_ray.sweep.tracebacks import reason_in
from rlx2_ray.sweep.trials.job import Planner

MOST_ERRORS = 2**24  # bytes of tracebacks, of all failures of a trial

_reporters: list[Reporter] = []


class Counts(NamedTuple):
    """How many trials are in which state."""

    finished: int
    failed: int
    running: int
    all: int


class Reporter(tune.Callback):  # type: ignore[misc]
    def __init__(
        self,
        planner: Planner,
        keeper: RecordKeeper,
        display: Display,
        belief: Callable[[], Status],
        is_spent: Callable[[Reporter], bool],
        known: Container[str] = (),
    ) -> None:
        """
        Args:
            belief: what else to show.
            is_spent: whether the trials in progress are to stop where they are.
            known: names of trials that had ended before, of which no more is said.
        """
        super().__init__()
        self.trials: list[Trial] = []
        self.is_cut_short = False  # by the budget
        self._names: dict[str, str] = {}  # by Tune's id; PBT changes a trial's configuration, but not its name
        self._paces: dict[str, Pace] = {}  # by Tune's id
        self._planner = planner
        self._keeper = keeper
        self._display = display
        self._belief = belief
        self._is_spent = is_spent
        self._known = known
        _reporters[:] = [self]

    def __reduce__(self) -> Any:
        """Tune stores its callbacks with the sweep; nobody reads that, but for copies in this process."""
        return _newest, ()

    def end_if_spent(self) -> bool:
        """Whether the budget ends the trials in progress."""
        self.is_cut_short = self.is_cut_short or (bool(self.unfinished) and self._is_spent(self))
        return self.is_cut_short

    @property
    def env_steps(self) -> int:
        """The env steps of all trials, from their beginning."""
        return sum(trial.last_result.get("env_steps", 0) for trial in self.trials if trial.last_result)

    @property
    def counts(self) -> Counts:
        states = [trial.status for trial in self.trials]
        return Counts(
            states.count(Trial.TERMINATED), states.count(Trial.ERROR), states.count(Trial.RUNNING), len(states)
        )

    @property
    def unfinished(self) -> list[Trial]:
        return [trial for trial in self.trials if not self._is_done(trial)]

    def _is_done(self, trial: Trial) -> bool:
        """Tune calls a trial terminated also where it was interrupted with the whole."""
        if trial.status != Trial.TERMINATED:
            return bool(trial.status == Trial.ERROR)
        return _has_ended(trial) or self.name(trial) in self._stopped

    @property
    def _stopped(self) -> tuple[str, ...]:
        """The trials that the scheduler ended, in all lives of the sweep."""
        return self._keeper.record.stopped

    def name(self, trial: Trial) -> str:
        if trial.trial_id not in self._names:
            self._names[trial.trial_id] = self._planner.plan(trial.config, trial.trial_id).name
        return self._names[trial.trial_id]

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self.trials = trials
        self._display.advance(self.env_steps, self._status, self._rate)
        self._keeper.write_soon()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        pace = self._paces.setdefault(trial.trial_id, Pace())
        pace.hear(result.get("env_steps", 0), time.monotonic())

    def _rate(self) -> float | None:
        """Of the trials that run; what an archive or an earlier sitting has done takes no time, and tells nothing."""
        running = (trial.trial_id for trial in self.trials if trial.status == Trial.RUNNING)
        return rate_of(self._paces.get(trial_id, Pace()) for trial_id in running)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.trials = trials
        if self.name(trial) in self._known:
            return
        result = trial.last_result
        how = "" if _has_ended(trial) and not result["ended_early"] else ", stopped early"
        self._display.say(f"{self.name(trial)}  score {result.get('score', math.nan):.1f}{_deployed(result)}{how}")
        if not _has_ended(trial):
            self._keeper.keep(replace(self._keeper.record, stopped=(*self._stopped, self.name(trial))))
            self._keeper.write()  # before Tune writes that there is nothing more to do

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._display.say(f"{self.name(trial)} failed ({reason_of(trial)}) and goes on from its last checkpoint.")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.trials = trials
        sentence = f"{self.name(trial)} failed: {reason_of(trial)}"
        self._display.say(sentence)
        self._keeper.say(sentence)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self.trials = trials  # no step may have been needed

    def _status(self) -> Status:
        counts = self.counts
        done = f"{counts.finished} of {counts.all}" + (f" ({counts.failed} failed)" if counts.failed else "")
        return {"trials": done, "running": str(counts.running), **self._belief()}


def _has_ended(trial: Trial) -> bool:
    """Whether its last report is that of a run's end; `done` is in that of a trial that was stopped as well."""
    return "ended_early" in (trial.last_result or {})


def _deployed(result: dict[str, Any]) -> str:
    """Says it where it is known; a trial that was stopped has not been played."""
    score = result.get(OF_DEPLOYED, math.nan)
    return "" if math.isnan(score) else f", deployed {score:.1f}"


def _newest() -> Reporter:
    return _reporters[0]


class BudgetStopper(tune.Stopper):  # type: ignore[misc]
    """Ends the trials in progress when the budget is spent, as the reporter of this process says."""

    def __call__(self, trial_id: str, result: Any) -> bool:
        return False

    def stop_all(self) -> bool:
        return _newest().end_if_spent()


def reason_of(trial: Trial) -> str:
    """Says why it failed, in a sentence."""
    file = trial.error_file
    try:
        text = files.read(Path(file), MOST_ERRORS).decode(errors="replace") if file else ""
    except OSError:
        text = ""
    return reason_in(text.rpartition("Failure # ")[2].partition("\n")[2])
