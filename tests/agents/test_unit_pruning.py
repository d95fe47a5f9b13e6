"""Units that go: by hand, and what holds for any network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.agents.evolution.base import Rewired
from rlx2_ray.agents.evolution.unit_pruning import UnitPruning
from rlx2_ray.config import resolve
from rlx2_ray.sparse.plan import LayerPlan, NetworkPlan, plan_agent
from rlx2_ray.sparse.schedule import PruningSchedule
from rlx2_ray.types import BadInput, Bools, Floats

# Of three units the norms of what comes in are 5, 1 and 2, of what goes out 1, 10 and 1.
FIRST, LAST = np.array([[3, 4], [1, 0], [0, 2]], np.float32), np.array([[1, 10, -1]], np.float32)
ONE_UNIT = NetworkPlan((LayerPlan("policy.0", (3, 2), 2), LayerPlan("policy.1", (1, 3), 1)), 9)


def rewire(evolution: UnitPruning, call: int, weights: list[Floats], masks: list[Bools]) -> Rewired:
    evolution.calls = call
    return evolution.rewire(weights, masks, [np.zeros_like(each) for each in weights], lambda number: np.empty(0))


def test_by_hand() -> None:
    evolution = UnitPruning(PruningSchedule(1, 0, 4), ONE_UNIT)
    masks = [np.ones_like(each, np.bool_) for each in (FIRST, LAST)]
    # 1 - (3/4)^3 of a sparsity of 2/3 leaves 5.5 of 9 weights, and two units have 6: the third, of 2 x 1, goes.
    two = rewire(evolution, 1, [FIRST, LAST], masks)
    assert [mask.tolist() for mask in two.masks] == [[[True] * 2, [True] * 2, [False] * 2], [[True, True, False]]]
    assert two.weights[1].tolist() == [[1, 10, 0]]
    assert evolution.overlap == 6 / 9
    # At the end one is left, of 1 x 10 and not of 5 x 1.
    one = rewire(evolution, 4, two.weights, two.masks)
    assert [mask.sum(axis=1).tolist() for mask in one.masks] == [[0, 2, 0], [1]]
    assert one.masks[1].tolist() == [[False, True, False]]


def test_each_critic_has_its_own_units() -> None:
    critics = NetworkPlan(tuple(layer._replace(name=f"critic{n}.{layer.name[-1]}") for n in (0, 1) for layer in
                                ONE_UNIT.layers), 18)  # fmt: skip
    weights = [FIRST, LAST, FIRST, np.array([[10, 1, 1]], np.float32)]
    masks = [np.ones_like(each, np.bool_) for each in weights]
    found = rewire(UnitPruning(PruningSchedule(1, 0, 4), critics), 4, weights, masks)
    assert [np.flatnonzero(mask.any(axis=1)).tolist() for mask in (found.masks[0], found.masks[2])] == [[1], [0]]


@settings(max_examples=25)
@given(st.integers(1, 4), st.lists(st.integers(1, 9), min_size=1, max_size=3), st.floats(0.05, 0.9), st.integers(0, 99))
def test_it_comes_to_the_plan_and_units_go_whole(inputs: int, hidden: list[int], sparsity: float, seed: int) -> None:
    config = resolve({"method": "structured", "network": {"hidden": hidden}, "sparsity": {"policy": sparsity}})
    plan, generator = plan_agent(config, inputs, 2).policy, np.random.default_rng(seed)
    evolution = UnitPruning(PruningSchedule(1, 2, 9), plan)
    masks = [np.ones(layer.shape, np.bool_) for layer in plan.layers]
    for call in range(1, 10):
        weights = [mask * generator.standard_normal(mask.shape).astype(np.float32) for mask in masks]
        before, masks = masks, rewire(evolution, call, weights, masks).masks
        assert all(not np.any(new & ~old) for old, new in zip(before, masks, strict=True))
        for layer, following in pairwise(masks):
            lives = layer.any(axis=1)
            assert np.array_equal(lives, following.any(axis=0)), "what comes in goes with what goes out"
            assert np.array_equal(layer.any(axis=0)[None] & lives[:, None], layer), "whole units"
    assert [int(mask.sum()) for mask in masks] == [layer.active for layer in plan.layers]


def test_its_keys_go_together() -> None:
    for wrong in ({"sparsity": {"distribution": "units"}}, {"topology": {"rule": "structured"}}):
        with pytest.raises(BadInput, match="method structured sets both"):
            resolve(wrong)
    with pytest.raises(BadInput, match="whose removed units would still count"):
        resolve({"method": "structured", "network": {"critic_norm": "layer"}})
