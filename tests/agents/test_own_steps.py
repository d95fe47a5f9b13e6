"""Grown weights whose moments are corrected by their own steps: by hand, against a list of weights, and resumed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.networks.sparse_layer import AGE
from rlx2_ray.types import Floats
from tests.agents.optimizers import Optimizer, make_optimizer
from tests.agents.small import ALGORITHMS, ENGINES, SPACES, UNENDING, check_resumes, random_batch, small_config
from tests.agents.test_agreement import SIZES, Pair, check_agreement
from tests.agents.test_optimizers import random_gradients, start_layers

RATE, INTERVAL = 0.01, 5
BETAS = {"beta_1": 0.8, "beta_2": 0.95}


def make(engine: str, grown_steps: str, **agent: Any) -> Optimizer:
    topology = {"rule": "rigl", "interval": INTERVAL, "end_update": UNENDING, "drop_fraction": 0.4}
    agent = {"learning_rate": RATE, "grown_steps": grown_steps, **agent}
    return make_optimizer(engine, start_layers(), small_config("td3", topology=topology, agent=agent))


def weights(optimizer: Optimizer) -> tuple[Floats, Any]:
    layer = optimizer.layers()[0]
    return layer.scatter().copy(), layer.mask()


@ENGINES
@pytest.mark.parametrize("grown_steps", ["own", "shared"])
def test_the_first_step_of_a_grown_weight_is_the_learning_rate(engine: str, grown_steps: str) -> None:
    # The moments are 0.1 g and 0.001 g^2; corrected by one step they are g and g^2.
    optimizer = make(engine, grown_steps)
    for call in range(1, 50 * INTERVAL + 1):
        _, before = weights(optimizer)
        optimizer.step(random_gradients(optimizer, call))
    _, after = weights(optimizer)
    optimizer.step(random_gradients(optimizer, 0))
    stepped, mask = weights(optimizer)
    grown = after & ~before
    assert (mask == after).all()
    assert grown.sum() >= 2
    steps = 1 if grown_steps == "own" else 50 * (INTERVAL - 1) + 1
    times = 0.1 / (1 - 0.9**steps) / math.sqrt(0.001 / (1 - 0.999**steps))
    assert times == pytest.approx(1 if grown_steps == "own" else 1.35, abs=0.01)
    np.testing.assert_allclose(np.abs(stepped[grown]) / RATE, times, rtol=1e-4)


@ENGINES
def test_every_step_equals_adam_over_a_list_of_weights(engine: str) -> None:
    optimizer = make(engine, "own", **BETAS)
    values, mask = weights(optimizer)
    entries = {place: [float(values.ravel()[place]), 0.0, 0.0, 0] for place in np.flatnonzero(mask)}
    for call in range(1, 4 * INTERVAL):
        gradients = random_gradients(optimizer, call)
        optimizer.step(gradients)
        values, mask = weights(optimizer)
        if call % INTERVAL == 0:  # what grows has no past
            entries = {place: entries.get(place, [0.0, 0.0, 0.0, 0]) for place in np.flatnonzero(mask)}
        else:
            for place, entry in entries.items():
                step(entry, float(gradients[0].ravel()[place]))
        assert np.allclose(values.ravel()[list(entries)], [entry[0] for entry in entries.values()], atol=1e-6)
    ages = optimizer.state()[0][f"policy.0.weights.{AGE}"]
    assert sorted(ages.tolist()) == sorted(entry[3] for entry in entries.values())
    assert len(set(ages.tolist())) > 1


def step(entry: list[Any], slope: float) -> None:
    first, second = BETAS.values()
    entry[3] += 1
    entry[1], entry[2] = first * entry[1] + (1 - first) * slope, second * entry[2] + (1 - second) * slope**2
    unbiased = entry[1] / (1 - first ** entry[3]), entry[2] / (1 - second ** entry[3])
    entry[0] -= RATE * unbiased[0] / (math.sqrt(unbiased[1]) + 1e-8)


@ALGORITHMS
@pytest.mark.parametrize("sizes", ["small", "nearly dense"])
def test_the_engines_agree(algo: str, sizes: str) -> None:
    agent = {"learning_rate": 1e-3, "policy_delay": 2, "tau": 0.1, "grown_steps": "own", **BETAS}
    pair = Pair(algo, SIZES[sizes], agent=agent, topology={"interval": 3})
    before = pair.warm_up("torch", 22).arrays
    assert any(name.endswith(AGE) and len(set(ages.tolist())) > 1 for name, ages in before.items())
    for _ in range(7):
        pair.update(pair.batch(40))
        check_agreement(before, pair)


@ENGINES
@ALGORITHMS
def test_it_goes_on_from_a_state(engine: str, algo: str) -> None:
    check_resumes(small_config(algo, engine=engine, agent={"batch_size": 8, "grown_steps": "own", **BETAS}))


@ENGINES
@ALGORITHMS
def test_without_growth_own_steps_are_everybodys(engine: str, algo: str) -> None:
    states = []
    for grown_steps in ("shared", "own"):
        agent = {"batch_size": 8, "grown_steps": grown_steps}
        learner = make_learner(small_config(algo, engine=engine, agent=agent, topology={"rule": "static"}), SPACES)
        generator = np.random.default_rng(0)
        for _ in range(6):
            learner.update(random_batch(generator))
        states.append(learner.state().arrays)
    shared, own = states
    for name, array in shared.items():
        np.testing.assert_allclose(own[name], array, rtol=0 if engine == "sparse" else 1e-5, atol=1e-8)
