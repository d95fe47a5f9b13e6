"""Exported groups: each value once, in C that acts as the network, of floats and of integers to the bit."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from rlx2_ray.export.c_compiler import compiled
from rlx2_ray.export.fixed_point import MOST_SUM, sums_fit, to_fixed_point
from rlx2_ray.export.tuning import _Layer
from rlx2_ray.footprint.chip_costs import multiply_adds
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.quantize import INTEGER_TYPES, IntegerType, quantize, rounded
from rlx2_ray.footprint.tables import Tables, decode, encode, has_own_places
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork
from rlx2_ray.networks.policy_file import PolicyFile
from rlx2_ray.sparse.circulant import is_circulant
from rlx2_ray.types import Damaged
from tests.export.policies import (
    group_policies,
    group_policy,
    in_units,
    observations_for,
    random_policy,
    trainers_actions,
)
from tests.export.test_c import SANITIZERS, STRICT, compiler_with, needs_compiler, shorter, twice, write
from tests.export.test_fixed_point import check_bits

KINDS = [None, *INTEGER_TYPES.values()]
HOPPER = ([11, 256, 256, 3], [0.2, 0.02, 0.5])  # sizes that are no whole blocks, and densities


def test_by_hand() -> None:
    """Blocks of 2 in a layer of 3 outputs and 3 inputs: one whole, and those at the edges, a row or column wide."""
    matrix = np.array([[1, 2, 0], [2, 1, 5], [0, 7, 9]], np.float32)
    tables = encode(DenseLayer(matrix, np.zeros(3, np.float32), 2), None)
    assert (tables.form, tables.block_rows, tables.products) == ("circulant2", 2, 7 + 1)
    assert tables.counts.tolist() == [3, 2]
    assert tables.places.tolist() == [0, 1, 3, 1, 2], "5 is right of the last column in its block's first row"
    assert tables.weights.tolist() == [1, 2, 5, 7, 9]
    assert tables.bytes == 2 + 5 + 5 * 4 + 3 * 4
    np.testing.assert_array_equal(decode(tables).weights, matrix)
    assert encode(DenseLayer(matrix, np.zeros(3, np.float32)), None).form == "dense"


def test_rows_of_a_block_have_one_scale() -> None:
    matrix = np.array([[1.27, -0.5, 0.1], [-0.5, 1.27, 0.2], [0.1, 0, 0]], np.float32)
    integers = quantize(matrix, np.int8, 2)
    assert integers.scales.tolist() == pytest.approx([0.01, 0.01, 0.1 / 127])
    assert integers.weights.tolist() == [[127, -50, 10], [-50, 127, 20], [127, 0, 0]]


@settings(max_examples=50, deadline=None)
@given(group_policies())
def test_compact_keeps_actions_and_groups(policy: PolicyFile) -> None:
    network, observations = compact(policy.layers, policy.spaces.action_size), observations_for(policy)
    actions = DenseNetwork(network).outputs(observations, policy.spaces.action_size)
    np.testing.assert_allclose(actions, trainers_actions(policy, observations), rtol=0, atol=1e-5)
    block = network[0].block
    for layer in network:
        assert layer.block == block
        assert is_circulant(layer.weights, block)
        for kind in KINDS:
            kept = rounded([layer], kind)[0] if kind else layer
            assert is_circulant(kept.weights, block)
            np.testing.assert_array_equal(decode(encode(layer, kind)).weights, kept.weights)
            assert encode(layer, kind).bytes <= encode(layer._replace(block=1), kind).bytes + 3 * len(layer.bias)
    for hidden, reader in pairwise(network):
        assert len(hidden.bias) <= block or (hidden.weights.any(axis=1) & reader.weights.any(axis=0)).any()


def numbers(network: list[DenseLayer]) -> int:
    return sum(encode(layer, None).weights.size + len(layer.bias) for layer in network)


@pytest.mark.parametrize("block", [4, 16])
def test_blocks_are_left_where_units_alone_take_less(block: int) -> None:
    """One that is read keeps its whole block: of few weights more units stay than values are shared."""
    for density in (0.3, 0.03, 0.01, 0.003):
        policy = group_policy([4, 256, 256, 1], [density, density / 3, density], block)
        assert numbers(compact(policy.layers, 1)) <= numbers(compact(policy.layers, 1, blocks=()))
    assert {layer.block for layer in compact(policy.layers, 1)} == {1}


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_other_networks_have_no_blocks(algo: str) -> None:
    for densities in ([1, 1, 1], [0.2, 0.02, 0.5], [0, 0, 0]):
        assert {layer.block for layer in compact(random_policy(algo, [11, 64, 64, 3], densities).layers, 3)} == {1}


@needs_compiler
@pytest.mark.parametrize("block", [2, 4, 8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_c_acts_as_the_network(kind: IntegerType | None, block: int, tmp_path: Path) -> None:
    policy = group_policy(*HOPPER, block)
    source, network = write(policy, tmp_path / "policy.c", kind), compact(policy.layers, 3)
    assert {layer.form for layer in source.tables.layers} == {f"circulant{block}"}
    assert source.is_ours
    tables = [encode(layer, kind) for layer in network]
    apart = [encode(layer._replace(block=1), kind) for layer in network]
    assert 1.2 * sum(each.bytes for each in tables) < sum(each.bytes for each in apart)
    held = rounded(network, kind) if kind else network
    weights = sum(np.count_nonzero(layer.weights) for layer in held)
    assert weights <= multiply_adds(tables) <= weights + len(tables[-1].weights), "and of a row that is not there"
    observations = observations_for(policy)
    expected = in_units(policy, DenseNetwork(held).outputs(observations, 3))
    with compiled(compiler_with(STRICT + SANITIZERS), source) as act:
        np.testing.assert_allclose(act(observations), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(source.act(observations), expected, rtol=0, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize(
    ("sizes", "densities"),
    [HOPPER, ([12, 64, 64, 4], HOPPER[1]), ([5, 30, 7], [0.9, 0.9])],
    ids=["ragged", "whole", "small"],
)
def test_fixed_point_is_the_same_to_the_bit(sizes: list[int], densities: list[float], tmp_path: Path) -> None:
    policy = group_policy(sizes, densities, 4)
    layers = to_fixed_point(compact(policy.layers, sizes[-1]), observations_for(policy)).layers
    assert all(is_circulant(layer.weights, 4) for layer in layers)
    check_bits(policy, tmp_path)
    assert "circulant4_1[" in (tmp_path / "policy.c").read_text()


def test_sums_of_rows_that_are_not_there_fit_too() -> None:
    """Of a block of 4, three rows and two columns; a fourth row would have the diagonals of 100 in both."""
    weights, bias = np.zeros((7, 2), np.int8), np.zeros(7, np.int32)
    weights[4, 1] = weights[6, 0] = 100
    assert is_circulant(weights, 4)
    limit = MOST_SUM // 150
    assert sums_fit(weights, bias, limit)
    assert not sums_fit(weights, bias, limit, 4)
    assert sums_fit(weights, bias, MOST_SUM // 200, 4)
    assert sums_fit(weights[4:], bias[4:], limit, 4), "C knows of a layer of less than a block"


@needs_compiler
@pytest.mark.slow
@settings(max_examples=30)
@given(group_policies())
def test_c_of_random_groups(tmp_path_factory: pytest.TempPathFactory, policy: PolicyFile) -> None:
    folder = tmp_path_factory.mktemp("c")
    check_bits(policy, folder)
    source = write(policy, folder / "floats.c")
    observations = observations_for(policy)
    with compiled(compiler_with(STRICT + SANITIZERS), source) as act:
        expected = in_units(policy, trainers_actions(policy, observations))
        np.testing.assert_allclose(act(observations), expected, rtol=0, atol=1e-5)


ALTERED: dict[str, tuple[Callable[[str], str], str]] = {
    "beyond": (lambda text: re.sub(r"(uint8_t circulant4_1\[\d+\] = {\n    )\d+", r"\g<1>12", text), "its 11 inputs"),
    "places": (lambda text: shorter(text, "circulant4_1"), "other sizes"),
    "twice": (lambda text: twice(text, "circulant4_1"), "two weights in one place"),
    "rows": (lambda text: shorter(text, "counts_1"), "other sizes"),
    "scales": (lambda text: shorter(text, "scales_1"), "scales"),
    "no counts": (lambda text: re.sub(r"static const uint8_t counts_1\[.*?};\n", "", text, flags=re.S), "other sizes"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered_tables_are_refused(name: str, tmp_path: Path) -> None:
    change, problem = ALTERED[name]
    source = write(group_policy(*HOPPER, 4), tmp_path / "policy.c", np.int8)
    altered = change(source.text.source)
    assert altered != source.text.source
    source.text = source.text._replace(source=altered)
    assert not source.is_ours
    with pytest.raises(Damaged, match=problem):
        _ = source.tables


def test_a_diagonal_that_no_row_has_is_found() -> None:
    """Of one row and five columns in blocks of 4: the second block has column 4 alone."""
    numbers = np.ones(1, np.uint8)
    tables = Tables("circulant4", 5, np.ones(1, np.float32), np.zeros(1, np.float32), numbers, 4 * numbers)
    assert [has_own_places(tables._replace(places=place * numbers)) for place in (3, 4, 5)] == [True, True, False]


def test_tuning_trains_each_value_once() -> None:
    (network,) = compact(group_policy([6, 8], [0.7], 4).layers, 8)
    layer = _Layer(network, 127)
    assert layer.weights.shape == (2, 8)
    layer.round(0.5)
    noise = torch.randn(layer.weights.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.weights += torch.where(layer._is_rounded, 0, noise)
    assert np.any(layer.dense().weights != network.weights)
    layer.round(1.0)
    found = layer.dense()
    assert found.block == 4
    assert is_circulant(found.weights, 4)
    assert np.array_equal(found.weights != 0, network.weights != 0)
    np.testing.assert_allclose(rounded([found], np.int8)[0].weights, found.weights, rtol=1e-6)
