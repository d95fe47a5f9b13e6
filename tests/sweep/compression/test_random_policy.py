"""The score of random actions."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.random_policy import EPISODES, RandomPolicy, random_score
from rlx2_ray.seeding import make_generator
from tests.support.compression_envs import MODULE
from tests.support.runs import small_config


def policy(size: int = 3) -> RandomPolicy:
    return RandomPolicy(size, make_generator(0, "random policy"))


def test_actions_are_uniform_between_the_bounds() -> None:
    drawing = policy()
    drawn = np.array([drawing.action(np.zeros(2, np.float32)) for _ in range(4000)])
    assert drawn.shape == (4000, 3)
    assert drawn.dtype == np.float32
    assert np.abs(drawn).max() <= 1
    assert np.abs(drawn.mean(axis=0)).max() < 0.05
    assert drawn.var(axis=0) == pytest.approx([1 / 3] * 3, abs=0.02)


def test_score_of_a_task_where_nothing_matters() -> None:
    config = small_config(env__id=f"{MODULE}:Indifferent-v0")
    assert random_score(config, probe_spaces(config.env)) == 10.0


def test_score_does_not_depend_on_the_seed_of_the_run() -> None:
    scores = {random_score(config, probe_spaces(config.env)) for config in (small_config(seed=0), small_config(seed=5))}
    assert len(scores) == 1
    (score,) = scores
    assert 3 < score < 15, "a pole that nobody holds falls in a few steps"


def test_score_is_the_mean_of_many_episodes() -> None:
    """Of whole numbers of steps, so that it tells how many."""
    config = small_config()
    score = random_score(config, probe_spaces(config.env))
    assert score * EPISODES == pytest.approx(round(score * EPISODES))
