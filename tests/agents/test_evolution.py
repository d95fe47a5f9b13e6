"""What is particular to pruning and to N:M groups, by hand, on both engines; RigL and SET are in test_optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.types import Floats
from tests.agents.optimizers import Optimizer, make_optimizer
from tests.agents.small import ENGINES, small_config

RATE = 0.1


def layer_of(weights: Floats, mask: Any = None) -> SparseLayer:
    mask = np.ones_like(weights, np.bool_) if mask is None else np.array(mask, np.bool_)
    return SparseLayer.from_dense(weights, mask, np.zeros(len(weights), np.float32))


def step(optimizer: Optimizer, *gradients: Floats) -> None:
    """One call, with these gradients of the weights and none of the biases."""
    optimizer.step([each for slopes in gradients for each in (slopes, np.zeros(len(slopes), np.float32))])


@ENGINES
def test_pruning_takes_the_smallest_until_the_final_count_and_never_gives_back(engine: str) -> None:
    topology = {"rule": "prune", "interval": 2, "start_update": 2, "end_update": 7}
    config = small_config("td3", topology=topology, agent={"learning_rate": RATE})
    weights = np.array([[8, -7, 6, -5], [4, -3, 2, -1]], np.float32)
    optimizer = make_optimizer(engine, (layer_of(weights),), config)  # towards four weights
    counts = []
    for _ in range(9):
        step(optimizer, np.zeros_like(weights))
        counts.append(len(optimizer.layers()[0].indices))
    # Events at calls 4, 6 and 7: 1 - (3/5)^3 = .784 and 1 - (1/5)^3 = .992 of four zeros are 3.1 and 3.97.
    assert counts == [8, 8, 8, 5, 5, 4, 4, 4, 4]
    assert optimizer.layers()[0].scatter().tolist() == [[8, -7, 6, -5], [0, 0, 0, 0]]
    assert optimizer.evolution.overlap == 1.0, "the last event had nothing left to do"


@ENGINES
def test_pruning_trains_what_is_left(engine: str) -> None:
    config = small_config("td3", topology={"rule": "prune", "interval": 1, "start_update": 0, "end_update": 1})
    optimizer = make_optimizer(engine, (layer_of(np.array([[2, 1]], np.float32)),), config)
    for _ in range(3):
        step(optimizer, np.ones((1, 2), np.float32))
    ((small, gone),) = optimizer.layers()[0].scatter().tolist()
    assert small == pytest.approx(2 - 2 * 3e-4, abs=1e-6)
    assert gone == 0


def paired(interval: int) -> ExperimentConfig:
    """Of every two inputs of a unit one weight lives."""
    return small_config(
        "td3",
        sparsity={"policy": 0.5, "critic": 0.5, "distribution": "groups"},
        topology={"rule": "groups", "interval": interval, "group": [1, 2]},
        agent={"learning_rate": RATE},
    )


@ENGINES
def test_a_weight_of_a_group_comes_back_with_the_value_that_it_had(engine: str) -> None:
    config = paired(interval=4)
    # Of each pair one lives; that which does not is kept aside, at 0.5 (`optimizers.evolution_of`).
    start = layer_of(np.array([[0.7, 0, 0.9, 0]], np.float32), [[1, 0, 1, 0]])
    optimizer = make_optimizer(engine, (start,), config)
    for _ in range(3):
        step(optimizer, np.array([[1, 1, 0, 1]], np.float32))
    before = optimizer.layers()[0].scatter()
    assert before[0] == pytest.approx([0.4, 0, 0.9, 0], abs=1e-6), "weights that do not live are not trained"
    step(optimizer, np.array([[1, 1, 0, 1]], np.float32))
    assert optimizer.layers()[0].scatter()[0] == pytest.approx([0, 0.5, 0.9, 0], abs=1e-6)
    for _ in range(3):
        step(optimizer, np.array([[0, 2, 0, 0]], np.float32))
    step(optimizer, np.zeros((1, 4), np.float32))
    assert optimizer.layers()[0].scatter()[0] == pytest.approx([0.4, 0, 0.9, 0], abs=1e-6), "0.2 gives way to 0.4"


@ENGINES
def test_what_is_kept_aside_is_part_of_the_state(engine: str) -> None:
    config = paired(interval=2)
    optimizer = make_optimizer(engine, (layer_of(np.array([[0.6, 0]], np.float32), [[1, 0]]),), config)
    for _ in range(2):
        step(optimizer, np.array([[2, 0]], np.float32))
    for _ in range(2):
        step(optimizer, np.array([[2, 0]], np.float32))
    arrays, counters = optimizer.state()
    copy = make_optimizer(engine, optimizer.layers(), config)
    copy.restore(arrays, counters)
    for _ in range(8):
        for each in (optimizer, copy):
            step(each, np.array([[0, 1]], np.float32))
        assert copy.layers()[0].scatter().tolist() == optimizer.layers()[0].scatter().tolist()
    assert arrays["policy.0.reserve"].shape == (1, 2)
