"""The Erdos-Renyi distribution: the paper's figures, and what holds for any model."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rlx2_ray.sparse.densities import Shape, active_counts, layer_densities, whole_fan_ins
from rlx2_ray.sparse.plan import mlp_shapes
from rlx2_ray.types import BadInput

HOPPER_POLICY = mlp_shapes((11, 256, 256, 3))
HOPPER_CRITICS = mlp_shapes((14, 256, 256, 1)) * 2

sizes = st.integers(1, 40)
models = st.lists(st.tuples(sizes, sizes), min_size=1, max_size=6)
sparsities = st.floats(0, 0.999)


def sparsity_of(count: int, shape: Shape) -> float:
    return round(1 - count / (shape[0] * shape[1]), 3)


def test_hopper_policy() -> None:
    counts = active_counts(HOPPER_POLICY, 0.98, "sparsity.policy")
    assert counts == [356, 682, 345]
    assert list(map(sparsity_of, counts, HOPPER_POLICY)) == [0.874, 0.990, 0.551]
    assert whole_fan_ins(HOPPER_POLICY, counts) == [1 * 256, 3 * 256, 115 * 3]  # 1.4, 2.7 and 115 a unit
    assert whole_fan_ins(HOPPER_POLICY, [100, 100, 1]) == [256, 256, 3], "no unit is without a weight"


def test_hopper_critics() -> None:
    counts = active_counts(HOPPER_CRITICS, 0.95, "sparsity.critic")
    assert counts == [1109, 2104, 256] * 2
    assert list(map(sparsity_of, counts, HOPPER_CRITICS)) == [0.691, 0.968, 0] * 2


def test_a_full_layer_leaves_its_surplus_to_the_others() -> None:
    # Sums 11 and 110, sizes 10 and 1000. epsilon = 121 / 121 = 1 would give layer 1 eleven of its ten weights.
    assert layer_densities([(1, 10), (10, 100)], 121) == [1.0, pytest.approx(111 / 1000)]


@given(models, sparsities)
def test_densities_fill_the_budget(shapes: list[Shape], sparsity: float) -> None:
    budget = (1 - sparsity) * sum(outputs * inputs for outputs, inputs in shapes)
    densities = layer_densities(shapes, budget)
    assert all(0 <= density <= 1 for density in densities)
    assert sum(d * o * i for d, (o, i) in zip(densities, shapes, strict=True)) == pytest.approx(budget)


@given(models, sparsities)
def test_open_layers_share_one_epsilon_and_full_ones_would_need_less(shapes: list[Shape], sparsity: float) -> None:
    budget = (1 - sparsity) * sum(outputs * inputs for outputs, inputs in shapes)
    densities = layer_densities(shapes, budget)
    epsilons = [d * o * i / (o + i) for d, (o, i) in zip(densities, shapes, strict=True)]
    open_epsilons = [epsilon for epsilon, density in zip(epsilons, densities, strict=True) if density < 1]
    assume(open_epsilons)
    assert open_epsilons == pytest.approx([open_epsilons[0]] * len(open_epsilons))
    assert max(epsilons) <= open_epsilons[0] * (1 + 1e-9)


@given(models, sparsities)
def test_counts_are_the_densities_rounded(shapes: list[Shape], sparsity: float) -> None:
    totals = [outputs * inputs for outputs, inputs in shapes]
    try:
        counts = active_counts(shapes, sparsity, "sparsity.policy")
    except BadInput:
        assume(False)
    assert all(1 <= count <= total for count, total in zip(counts, totals, strict=True))
    assert abs(sum(counts) - (1 - Fraction(sparsity)) * sum(totals)) <= len(shapes) / 2 + 1e-6


@given(models)
def test_no_sparsity_keeps_every_weight(shapes: list[Shape]) -> None:
    assert active_counts(shapes, 0.0, "sparsity.policy") == [outputs * inputs for outputs, inputs in shapes]


def test_a_layer_without_weights_is_refused_by_key_value_and_layer() -> None:
    # 9.66 weights for 879 inputs and outputs: layer 1 gets 3.99, layer 2 gets 5.56, layer 3 gets 0.11.
    with pytest.raises(BadInput, match=r"^sparsity\.critic is 0\.9999, .* layer 3 \(2 x 8\): .*\.$"):
        active_counts([(200, 163), (256, 250), (2, 8)], 0.9999, "sparsity.critic")
