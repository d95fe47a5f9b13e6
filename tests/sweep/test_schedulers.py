"""Tune's schedulers in a sweep that goes on: they judge as if they had heard of all that was before."""

from __future__ import annotations

import random
from typing import Any

import pytest

pytest.importorskip("ray.tune")

from ray.tune.schedulers import TrialScheduler

from rlx2_ray.sweep.schedulers import Asha, Named, Pbt

STEPS = (100, 200, 300)


def name_of(trial: Any) -> str:
    return f"trial-{trial.trial_id.rpartition('-')[2]}"


def report(steps: int, score: float) -> dict[str, Any]:
    return {"env_steps": steps, "score": score}


def asha(before: dict[str, list[dict[str, Any]]]) -> Asha:
    options = {"time_attr": "env_steps", "metric": "score", "mode": "max", "max_t": 1000, "grace_period": 100}
    return Asha(before, name_of, reduction_factor=2, brackets=1, **options)


def play(scheduler: Asha, numbers: range, returns: list[float], decisions: list[str]) -> None:
    """Trials one after the other, each of which reports until it is stopped."""
    for number in numbers:
        trial = Named(f"{random.random()}-{number}")  # Tune gives it another id in every process
        scheduler.on_trial_add(None, trial)
        for steps in STEPS:
            decisions.append(scheduler.on_trial_result(None, trial, report(steps, returns[number] + steps)))
            if decisions[-1] == TrialScheduler.STOP:
                break


def test_asha_decides_as_if_nothing_had_happened() -> None:
    draw = random.Random(0)
    returns = [draw.random() * 100 for _ in range(12)]
    undisturbed: list[str] = []
    play(asha({}), range(12), returns, undisturbed)
    assert TrialScheduler.STOP in undisturbed
    for killed in range(1, 12):
        decisions: list[str] = []
        play(asha({}), range(killed), returns, decisions)
        reports: dict[str, list[dict[str, Any]]] = {}
        count = iter(decisions)
        for number in range(killed):
            reports[f"trial-{number}"] = []
            for steps in STEPS:
                reports[f"trial-{number}"].append(report(steps, returns[number] + steps))
                if next(count) == TrialScheduler.STOP:
                    break
        again = asha(reports)
        play(again, range(killed, 12), returns, decisions)
        assert decisions == undisturbed
        finished = Named("x-0")
        again.on_trial_complete(None, finished, report(300, returns[0] + 300))  # it only says again what it came to
        again.on_trial_add(None, finished)
        again.on_trial_remove(None, finished)


def test_pbt_knows_where_its_trials_were(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.tune.schedulers import PopulationBasedTraining

    options = {"time_attr": "env_steps", "metric": "score", "mode": "max", "perturbation_interval": 200}
    before = {"trial-0": [report(100, 1.0), report(500, 7.0)]}
    pbt = Pbt(before, name_of, hyperparam_mutations={"agent.tau": [0.1, 0.2]}, **options)

    def add(self: Any, controller: object, trial: Any) -> None:
        self._trial_state[trial] = type("State", (), {"last_perturbation_time": 0, "last_score": None})()

    monkeypatch.setattr(PopulationBasedTraining, "on_trial_add", add)
    known, new = Named("a-0"), Named("b-1")
    for trial in (known, new):
        pbt.on_trial_add(None, trial)
    state = pbt._trial_state[known]
    assert (state.last_score, state.last_train_time, state.last_perturbation_time) == (7.0, 500, 400)
    assert pbt._trial_state[new].last_score is None
