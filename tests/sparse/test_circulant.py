"""Groups of weights that share one value: by hand, against scipy's circulant matrices, and what holds for any."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import circulant

from rlx2_ray.config import resolve
from rlx2_ray.sparse.circulant import (
    count_groups,
    group_count,
    group_numbers,
    has_broken_groups,
    largest_groups,
    shared,
)
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import plan_agent

Sides = st.integers(1, 13)
Blocks = st.integers(2, 5)


def test_by_hand() -> None:
    # Two blocks of 2 x 2 and two at the edge, of one column; and one row of a block, whose weights are all their own.
    assert group_numbers((4, 3), 2).tolist() == [[0, 1, 2], [1, 0, 3], [4, 5, 6], [5, 4, 7]]
    assert group_numbers((1, 3), 2).tolist() == [[0, 1, 2]]
    assert (group_count((4, 3), 2), group_count((1, 3), 2)) == (8, 3)
    weights = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]], np.float32)
    assert shared(weights, 2).tolist() == [[1, 2, 3], [2, 1, 6], [7, 8, 9], [8, 7, 12]]


def test_a_whole_block_is_circulant() -> None:
    numbers = group_numbers((8, 8), 4)
    assert np.array_equal(numbers[:4, :4], circulant(numbers[:4, 0]))
    assert np.array_equal(numbers[4:, :4], circulant(numbers[4:, 0]))


def test_whole_groups_stay_by_hand() -> None:
    weights, mask = shared(np.array([[3, -4, 2, 1], [0, 0, 0, 0]], np.float32), 2), np.ones((2, 4), np.bool_)
    assert weights.tolist() == [[3, -4, 2, 1], [-4, 3, 1, 2]]
    assert largest_groups(weights, mask, 8, 2).all()
    assert largest_groups(weights, mask, 4, 2).tolist() == [[True, True, False, False]] * 2
    assert largest_groups(weights, mask, 3, 2).tolist() == [[True, True, False, False]] * 2, "at least so many"
    mask[:, 2:] = False
    assert largest_groups(np.zeros_like(weights), mask, 4, 2).tolist() == mask.tolist(), "what is gone stays away"


@given(Sides, Sides, Blocks)
def test_groups_are_counted_as_they_are(outputs: int, inputs: int, block: int) -> None:
    numbers = group_numbers((outputs, inputs), block)
    assert np.array_equal(np.unique(numbers), np.arange(group_count((outputs, inputs), block)))
    assert np.bincount(numbers.ravel()).max() <= block


@given(Sides, Sides, Blocks, st.floats(0, 1), st.integers(0, 99))
def test_pruning_keeps_whole_groups_and_no_more_than_needed(
    outputs: int, inputs: int, block: int, density: float, seed: int
) -> None:
    weights = np.random.default_rng(seed).standard_normal((outputs, inputs)).astype(np.float32)
    weights, count = shared(weights, block), max(1, round(density * weights.size))
    mask = largest_groups(weights, np.ones(weights.shape, np.bool_), count, block)
    assert count <= mask.sum() < count + block
    assert np.abs(weights[mask]).min() >= np.abs(weights[~mask]).max(initial=0)
    indices = np.flatnonzero(mask).astype(np.int32)
    assert count_groups(indices, weights.shape, block) == len(np.unique(weights[mask]))
    assert not has_broken_groups(indices, [weights[mask]], weights.shape, block)
    sizes = np.bincount(group_numbers(weights.shape, block)[mask])
    several = np.flatnonzero(sizes[group_numbers(weights.shape, block)[mask]] > 1)
    if len(several):
        values = weights[mask]
        values[several[0]] += 1
        assert has_broken_groups(indices, [weights[mask], values], weights.shape, block)
        assert has_broken_groups(np.delete(indices, several[0]), [], weights.shape, block)


def test_sizes_are_of_values_and_flops_of_weights() -> None:
    # Hopper's policy has 69,120 weights: 3 blocks across the first layer, of which one of 3 columns; 3 outputs last.
    config = resolve({"method": "group", "sparsity": {"policy": 0.5, "critic": 0.5}})
    plan = plan_agent(config, 11, 3)
    groups = 64 * 3 * 4, 64 * 64 * 4, 64 * 4
    pairs = zip(plan.policy.layers, groups, strict=True)
    assert plan.policy.values == sum(round(layer.active / math.prod(layer.shape) * number) for layer, number in pairs)
    plain = resolve({"method": "prune", "sparsity": {"policy": 0.5, "critic": 0.5}})
    costs = relative_costs(config, plan)
    assert costs._replace(size_ratio=0) == relative_costs(plain, plan_agent(plain, 11, 3))._replace(size_ratio=0)
    assert costs.inference_flops_ratio == 0.5
    assert costs.size_ratio == (plan.policy.values + plan.critic.values) / (69_120 + 138_752)
    assert 0.12 < costs.size_ratio < 0.14, "nearly half of a quarter; the critics' outputs share nothing"
