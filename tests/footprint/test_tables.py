"""Tables of a layer's weights: they say what the layer is, and are as small as any form makes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.footprint.quantize import INTEGER_TYPES, IntegerType, quantize, rounded
from rlx2_ray.footprint.tables import decode, encode
from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.types import Floats


def make_layer(outputs: int, inputs: int, weights: dict[tuple[int, int], float]) -> DenseLayer:
    matrix = np.zeros((outputs, inputs), np.float32)
    for place, weight in weights.items():
        matrix[place] = weight
    return DenseLayer(matrix, np.arange(outputs, dtype=np.float32))


def test_columns_of_a_small_layer() -> None:
    tables = encode(make_layer(3, 10, {(0, 9): 1, (2, 0): 2, (2, 7): 3}), None)
    assert tables.form == "columns"
    assert (tables.counts.tolist(), tables.places.tolist(), tables.weights.tolist()) == (
        [1, 0, 2],
        [9, 0, 7],
        [1, 2, 3],
    )
    assert [table.itemsize for table in (tables.counts, tables.places)] == [1, 1]
    assert tables.bytes == 3 + 3 + 3 * 4 + 3 * 4


def test_gaps_of_a_wide_layer_walk_over_far_distances() -> None:
    """Column 600 is 255 + 255 + 90 away, column 605 five more; the next row begins at column 0 again."""
    tables = encode(make_layer(2, 1000, {(0, 600): 1, (0, 605): 2, **{(1, 100 * k): 3 for k in range(1, 10)}}), np.int8)
    assert tables.form == "gaps"
    assert tables.counts.tolist() == [4, 9]
    assert tables.places.tolist() == [255, 255, 90, 5] + [100] * 9
    assert tables.weights.tolist() == [0, 0, 64, 127] + [127] * 9
    assert tables.places.itemsize == 1


def test_few_far_weights_take_two_bytes_each() -> None:
    tables = encode(make_layer(1, 60_000, {(0, 59_000): 1}), None)
    assert (tables.form, tables.places.tolist(), tables.places.dtype) == ("columns", [59_000], np.uint16)


@pytest.mark.parametrize(("kind", "dense_from"), [(None, 81), (np.int16, 67), (np.int8, 51)])
def test_dense_from_where_it_is_smaller(kind: IntegerType | None, dense_from: int) -> None:
    """A weight of 4 bytes (or 2, or 1) with a place of 1, and one count, against 100 weights of 4 (or 2, or 1)."""
    forms = [encode(make_layer(1, 100, {(0, k): 1 for k in range(count)}), kind).form for count in range(101)]
    assert forms.index("dense") in (dense_from - 1, dense_from)
    assert set(forms[dense_from:]) == {"dense"}


def test_rows_of_as_many_weights_need_no_counts() -> None:
    tables = encode(make_layer(3, 10, {(0, 9): 1, (0, 2): 4, (1, 0): 2, (1, 3): 5, (2, 0): 2, (2, 7): 3}), None)
    assert tables.has_fan_in
    assert (tables.form, tables.fan_in, tables.counts) == ("columns", 2, None)
    assert tables.places.tolist() == [2, 9, 0, 3, 0, 7]
    assert tables.weights.tolist() == [4, 1, 2, 5, 2, 3]
    assert tables.bytes == 6 * 4 + 6 + 3 * 4


def test_a_weight_that_was_rounded_to_zero_is_filled_in() -> None:
    """Three rows of two weights less one take a count each, or one weight of a byte and its place more."""
    weights = {(0, 9): 1, (0, 2): 1, (1, 0): 1, (1, 3): 0.001, (2, 0): 1, (2, 7): 1}
    tables = encode(make_layer(3, 10, weights), np.int8)
    assert (tables.has_fan_in, tables.fan_in) == (True, 2)
    assert tables.weights.tolist() == [127, 127, 127, 0, 127, 127]
    assert tables.places.tolist() == [2, 9, 0, 0, 0, 7]
    assert encode(make_layer(3, 10, weights | {(1, 3): 0.01}), np.int8).bytes == tables.bytes
    assert not encode(make_layer(3, 10, {place: 1 for place in list(weights)[:3]}), None).has_fan_in


def test_equal_gaps_of_a_wide_layer() -> None:
    columns = {0: [200, 400, 650], 1: [100, 300], 2: [7, 9, 11]}
    tables = encode(make_layer(3, 1000, {(row, column): 1 for row, own in columns.items() for column in own}), np.int8)
    assert (tables.form, tables.has_fan_in, tables.fan_in) == ("gaps", True, 3)
    assert tables.places.tolist() == [200, 200, 250, 100, 200, 0, 7, 2, 2]
    assert tables.weights.tolist() == [127, 127, 127, 127, 127, 0, 127, 127, 127]


def test_row_of_more_than_a_byte_of_weights() -> None:
    layer = make_layer(2, 2000, {(0, 3 * k): 1.5 for k in range(300)})
    tables = encode(layer, None)
    assert tables.counts.dtype == np.uint16
    np.testing.assert_array_equal(decode(tables).weights, layer.weights)


@st.composite
def matrices(draw: st.DrawFn) -> Floats:
    outputs, inputs = draw(st.integers(1, 5)), draw(st.sampled_from([1, 2, 7, 255, 256, 257, 600, 65_537, 140_000]))
    matrix = np.zeros((outputs, inputs), np.float32)
    if draw(st.booleans()):  # as many weights in each row, one perhaps too small for integers
        fan_in = draw(st.integers(1, min(inputs, 4)))
        for row in matrix:
            row[draw(st.lists(st.integers(0, inputs - 1), min_size=fan_in, max_size=fan_in, unique=True))] = 1.5
        matrix[0, matrix[0].argmax()] = draw(st.sampled_from([0.001, 1]))
        return matrix
    places = st.tuples(st.integers(0, outputs - 1), st.integers(0, inputs - 1))
    weights = st.integers(-1000, 1000).map(lambda number: number / 64)
    for place, weight in draw(st.dictionaries(places, weights, max_size=30)).items():
        matrix[place] = weight
    return matrix


@given(matrices())
def test_tables_say_what_the_layer_is(matrix: Floats) -> None:
    layer = DenseLayer(matrix, np.arange(len(matrix), dtype=np.float32))
    np.testing.assert_array_equal(decode(encode(layer, None)).weights, matrix)
    for kind in INTEGER_TYPES.values():
        np.testing.assert_array_equal(decode(encode(layer, kind)).weights, rounded([layer], kind)[0].weights)


@pytest.mark.parametrize(("kind", "largest"), [(np.int8, 127), (np.int16, 32_767)])
@given(matrix=matrices())
def test_rounding_is_to_half_a_step_of_the_row(matrix: Floats, kind: IntegerType, largest: int) -> None:
    (layer,) = rounded([DenseLayer(matrix, np.zeros(len(matrix), np.float32))], kind)
    greatest = np.abs(matrix).max(axis=1, keepdims=True)
    of_float32 = 4 * np.spacing(greatest)  # a step of 16 bits is no more than some hundred of its own
    assert np.all(np.abs(layer.weights - matrix) <= greatest / largest * 0.501 + of_float32)


def test_greatest_weight_of_a_row_is_127_steps() -> None:
    integers = quantize(np.array([[2.54, -1.27, 0.001], [0, 0, 0]], np.float32), np.int8)
    assert integers.weights.tolist() == [[127, -64, 0], [0, 0, 0]]
    np.testing.assert_allclose(integers.scales, [0.02, 0])
