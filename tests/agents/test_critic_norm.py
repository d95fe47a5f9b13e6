"""Critics whose hidden layers are normalised: the engines against each other, what an event sees, and resumed."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.evolution.inputs import inputs_by_layer
from rlx2_ray.kernels import reference
from tests.agents.small import ALGORITHMS, ENGINES, SPACES, check_resumes, random_batch, small_config
from tests.agents.test_agreement import SIZES, Pair, check_agreement
from tests.networks.networks import random_layers

NORM = {"critic_norm": "layer"}


@ALGORITHMS
@pytest.mark.parametrize("sizes", ["small", "nearly dense", "many inputs and outputs", "deep"])
def test_one_update_is_the_same(algo: str, sizes: str) -> None:
    pair = Pair(algo, SIZES[sizes], network=NORM, topology={"interval": 7})
    state = pair.warm_up("torch", 23)
    for size in (7, 100):
        pair.update(pair.batch(size))
        check_agreement(state.arrays, pair)
        for learner in pair.learners.values():
            learner.restore(state)


@ALGORITHMS
def test_events_are_the_same(algo: str) -> None:
    pair = Pair(algo, SIZES["nearly dense"], network=NORM, topology={"interval": 3})
    before = pair.warm_up("torch", 22).arrays
    for _ in range(4):
        pair.update(pair.batch(40))
        check_agreement(before, pair)


@ENGINES
def test_only_the_critics_are_normalised(engine: str) -> None:
    losses = []
    for network in ({}, NORM):
        learner = make_learner(small_config("td3", engine=engine, network={"hidden": [16, 16], **network}), SPACES)
        learner.update(random_batch(np.random.default_rng(0)))
        losses.append(learner.metrics()["train/critic_loss"])
        acts = learner.evaluated_policy().action(np.ones(SPACES.observation_size, np.float32))
        losses.append(float(acts[0]))
    assert losses[0] != losses[2]
    assert losses[1] == losses[3], "the policy has not been updated yet"


@ENGINES
@ALGORITHMS
def test_it_goes_on_from_a_state(engine: str, algo: str) -> None:
    check_resumes(small_config(algo, engine=engine, network={"hidden": [16, 16], **NORM}))


def test_an_event_sees_what_comes_into_the_layers() -> None:
    layers = random_layers(5, 40, 7, 1, density=0.5)
    seen = np.random.default_rng(0).standard_normal((5, 9), np.float32)
    dense = [reference.DenseLayer(each.scatter().astype(np.float64), each.mask(), each.bias) for each in layers]
    inputs = inputs_by_layer(layers, 1, lambda: seen, normalized=True)
    for number, expected in enumerate(reference.forward(dense, 1, seen, normalized=True)[:2], start=1):
        np.testing.assert_allclose(inputs(number), expected, atol=1e-5)
