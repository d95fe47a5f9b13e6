"""What a run is expected to take."""

from __future__ import annotations

from contextlib import closing
from itertools import count

import pytest

from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.evaluation import USUAL_STEPS, evaluation_steps
from rlx2_ray.sweep.compression import forecast
from rlx2_ray.sweep.compression.forecast import MARGIN, START_S, run_seconds
from tests.support.compression_envs import MODULE
from tests.support.runs import Changes, small_config


def steps_of(**changes: object) -> int:
    config = small_config(**changes)
    with closing(EnvLane(config.env, 0, "test")) as lane:
        return evaluation_steps(config, lane.env)


def test_evaluations_are_of_full_episodes() -> None:
    changes: Changes = {"evaluation__interval": 100, "evaluation__episodes": 2, "evaluation__deployed_episodes": 0}
    assert steps_of(steps=600, **changes) == 6 * 2 * 1000
    assert steps_of(steps=601, **changes) == 7 * 2 * 1000, "and one at the end"
    rare: Changes = {"evaluation__early_interval": 300, "evaluation__score_window": 2}
    assert steps_of(steps=600, **changes | rare) == 3 * 2 * 1000, "at 300, 500 and 600"
    assert steps_of(steps=600, **changes | {"evaluation__deployed_episodes": 3}) == (6 * 2 + 3) * 1000


def test_episodes_without_a_limit_are_taken_to_be_long() -> None:
    changes: Changes = {"env__id": f"{MODULE}:Indifferent-v0", "steps": 200, "evaluation__interval": 200}
    changes["evaluation__deployed_episodes"] = 0
    assert steps_of(**changes, evaluation__episodes=3) == 3 * USUAL_STEPS


def test_seconds_are_those_of_updates_and_env_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update takes 1 ms here, an env step 2 ms and an action 3 ms."""
    taken = count(1)

    def seconds(call: object) -> float:
        return next(taken) / 1000

    monkeypatch.setattr(forecast, "_seconds", seconds)
    config = small_config(steps=600, agent__warmup_steps=100, evaluation__interval=100, evaluation__episodes=1)
    expected = START_S + MARGIN * (500 * 0.001 + (600 + 6000 + 2000) * 0.005)
    assert run_seconds(config, probe_spaces(config.env)) == pytest.approx(expected)


def test_measured_seconds_grow_with_the_run() -> None:
    config, longer = small_config(steps=600), small_config(steps=60_000)
    spaces = probe_spaces(config.env)
    assert run_seconds(longer, spaces) > 5 * run_seconds(config, spaces) > 0
