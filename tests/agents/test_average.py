"""The moving average of a policy's weights, which is evaluated in its place, against the recursion by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import Learner
from rlx2_ray.config import resolve
from rlx2_ray.networks.policy import densify, make_evaluation_policy
from rlx2_ray.networks.policy_weights import AVERAGE
from rlx2_ray.networks.sparse_layer import Layers, from_arrays
from rlx2_ray.types import Floats
from tests.agents.small import ALGORITHMS, ENGINES, SMALL, SPACES, check_resumes, random_batch, small_config

CONSTANT = 20  # env steps
OBSERVATIONS = np.random.default_rng(1).standard_normal((5, SPACES.observation_size), dtype=np.float32)


def learner_of(algo: str, engine: str, average: int = CONSTANT, **sections: Any) -> Learner:
    return make_learner(small_config(algo, engine=engine, policy={"average": average}, **sections), SPACES)


def model(learner: Learner, name: str) -> Layers:
    return from_arrays(learner.state().arrays, name)


def dense(layers: Layers) -> list[Floats]:
    return [each for layer in layers for each in (layer.scatter().copy(), layer.bias.copy())]


@ENGINES
@ALGORITHMS
@pytest.mark.parametrize(("delay", "ratio"), [(1, 1.0), (2, 1.0), (1, 2.0)])
def test_it_follows_every_update_of_the_policy(engine: str, algo: str, delay: int, ratio: float) -> None:
    agent = {"policy_delay": delay, "updates_per_env_step": ratio, "batch_size": 8}
    learner, generator = learner_of(algo, engine, agent=agent, topology={"rule": "static"}), np.random.default_rng(0)
    expected, rate = dense(model(learner, "policy")), 1 - math.exp(-delay / ratio / CONSTANT)
    for update in range(1, 13):
        learner.update(random_batch(generator))
        if update % delay == 0:
            online = dense(model(learner, "policy"))
            expected = [slow + rate * (fast - slow) for slow, fast in zip(expected, online, strict=True)]
    for ours, by_hand in zip(dense(model(learner, AVERAGE)), expected, strict=True):
        np.testing.assert_allclose(ours, by_hand, rtol=1e-4, atol=1e-6)
    assert not np.allclose(dense(model(learner, AVERAGE))[0], dense(model(learner, "policy"))[0], atol=1e-5)


@ENGINES
@ALGORITHMS
@pytest.mark.parametrize("method", ["rigl", "set", "prune", "nm", "ds"])
def test_it_has_the_structure_of_the_policy(engine: str, algo: str, method: str) -> None:
    small = {key: SMALL[key] for key in ("steps", "network", "agent")}
    own = {"algo": algo, "method": method, "engine": engine, "policy": {"average": CONSTANT}}
    config = resolve({**small, **own, "topology": {"interval": 2, "start_update": 0}})
    learner, generator = make_learner(config, SPACES), np.random.default_rng(0)
    for _ in range(12):
        learner.update(random_batch(generator))
    policy, average = model(learner, "policy"), model(learner, AVERAGE)
    assert [each.indices.tolist() for each in average] == [each.indices.tolist() for each in policy]


@ENGINES
@ALGORITHMS
def test_it_is_what_is_evaluated_and_kept(engine: str, algo: str) -> None:
    learner, generator = learner_of(algo, engine), np.random.default_rng(0)
    for _ in range(12):
        learner.update(random_batch(generator))
    kept = learner.evaluated_weights()
    played = make_evaluation_policy(algo, densify(kept.layers)).action(OBSERVATIONS)
    np.testing.assert_allclose(learner.evaluated_policy().action(OBSERVATIONS), played, atol=1e-6)
    collecting = make_evaluation_policy(algo, densify(learner.policy_weights().layers)).action(OBSERVATIONS)
    assert np.abs(collecting - played).max() > 1e-4


@ENGINES
@ALGORITHMS
def test_training_is_what_it_was_without_it(engine: str, algo: str) -> None:
    learners = [learner_of(algo, engine, average) for average in (0, CONSTANT)]
    for learner in learners:
        generator = np.random.default_rng(0)
        for _ in range(6):
            learner.update(random_batch(generator))
    plain, averaged = (learner.state().arrays for learner in learners)
    assert {name.split(".")[0] for name in averaged.keys() - plain.keys()} == {AVERAGE}
    assert all(averaged[name].tobytes() == array.tobytes() for name, array in plain.items())


@ENGINES
@ALGORITHMS
def test_it_goes_on_from_a_state(engine: str, algo: str) -> None:
    check_resumes(small_config(algo, engine=engine, policy={"average": CONSTANT}))
