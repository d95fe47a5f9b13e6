"""A layer survives its sparse form."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.networks.sparse_layer import SparseLayer, from_arrays, to_arrays
from rlx2_ray.types import Bools, Floats


@st.composite
def dense_layers(draw: st.DrawFn) -> tuple[Floats, Bools, Floats]:
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    mask = generator.random(shape) < draw(st.floats(0, 1))
    return generator.standard_normal(shape, np.float32), mask, generator.standard_normal(shape[0], np.float32)


def test_a_layer_by_hand() -> None:
    weights = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    mask = np.array([[0, 1, 0], [1, 0, 1]], np.bool_)
    layer = SparseLayer.from_dense(weights, mask, np.array([7, 8], np.float32))
    assert layer.shape == (2, 3)
    assert layer.indices.tolist() == [1, 3, 5]
    assert layer.weights.tolist() == [2, 4, 6]
    assert layer.bias.tolist() == [7, 8]
    assert layer.scatter().tolist() == [[0, 2, 0], [4, 0, 6]]


@given(dense_layers())
def test_round_trip(dense: tuple[Floats, Bools, Floats]) -> None:
    weights, mask, bias = dense
    layer = SparseLayer.from_dense(weights, mask, bias)
    assert np.array_equal(layer.mask(), mask)
    assert np.array_equal(layer.scatter(), np.where(mask, weights, 0))
    assert np.array_equal(layer.bias, bias)


@given(st.lists(dense_layers(), max_size=3))
def test_round_trip_through_named_arrays(dense: list[tuple[Floats, Bools, Floats]]) -> None:
    layers = tuple(SparseLayer.from_dense(*arrays) for arrays in dense)
    arrays = to_arrays(layers, "policy") | to_arrays(layers[:1], "policy2")
    again = from_arrays(arrays, "policy")
    assert len(again) == len(layers)
    for old, new in zip(layers, again, strict=True):
        assert old.shape == new.shape
        assert all(np.array_equal(a, b) for a, b in zip(old[1:], new[1:], strict=True))


def test_it_is_a_copy() -> None:
    weights, bias = np.ones((2, 2), np.float32), np.ones(2, np.float32)
    layer = SparseLayer.from_dense(weights, np.ones((2, 2), np.bool_), bias)
    weights[:], bias[:] = 5, 5
    assert layer.weights.tolist() == [1, 1, 1, 1]
    assert layer.bias.tolist() == [1, 1]
