"""The arrays of a structure, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rlx2_ray.kernels.structure import build_structure, find_live, is_dense, weight_slots
from rlx2_ray.types import Bools


def mask(*rows: list[int]) -> Bools:
    return np.array(rows, np.bool_)


# Two inputs, three hidden units, one output, which does not read the hidden unit 1. Workspace rows are 0 and 1 for the
# inputs, 2, 3 and 4 for the hidden units, 5 for the output. Weights are in the slots 0 to 5, biases in 6 to 9.
HIDDEN = mask([1, 0], [1, 1], [0, 1])
OUTPUT = mask([1, 0, 1])


def test_layers_by_hand() -> None:
    hidden, output = build_structure([HIDDEN, OUTPUT]).layers
    names = ["inputs", "outputs", "source", "target", "weights", "bias", "is_dense", "is_output"]
    assert hidden[names].item() == (2, 3, 0, 2, 0, 6, 0, 0)
    assert output[names].item() == (3, 1, 2, 5, 4, 9, 0, 1)
    names = ["rows", "columns", "live", "live_end", "connections", "connections_end"]
    assert hidden[names].item() == (0, 0, 0, 2, 0, 2)
    assert output[names].item() == (4, 3, 2, 3, 2, 2)


def test_rows_by_hand() -> None:
    structure = build_structure([HIDDEN, OUTPUT])
    assert structure.row_start.tolist() == [0, 1, 3, 4, 4, 6]
    assert structure.units.tolist() == [0, 0, 1, 1, 2, 4]
    assert structure.live.tolist() == [0, 2, 0]


def test_columns_by_hand() -> None:
    structure = build_structure([HIDDEN, OUTPUT])
    # Of column 0 the weight of row 0 only, of column 1 that of row 2: row 1 is not live.
    assert structure.column_start.tolist() == [0, 1, 2, 2, 3, 3, 4]
    assert structure.column_units.tolist() == [2, 4, 5, 5]
    assert structure.places.tolist() == [0, 3, 4, 5]


def test_connections_by_hand() -> None:
    # (input unit, output unit, slot); none into outputs of the model, and none where rows are long.
    assert build_structure([HIDDEN, OUTPUT]).connections.tolist() == [[0, 2, 0], [1, 4, 3]]
    long_rows = np.ones((3, 6), np.bool_)
    assert build_structure([long_rows, OUTPUT]).connections.tolist() == []


def test_columns_of_inputs_that_need_no_gradient_are_empty() -> None:
    structure = build_structure([HIDDEN, OUTPUT], first_input=1)
    assert structure.layers["first_input"].tolist() == [1, 0]
    assert structure.column_start.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert structure.places.tolist() == [3, 4, 5]
    assert structure.connections.tolist() == [[0, 2, 0], [1, 4, 3]]  # forward, all inputs count


def test_columns_list_their_rows_in_order() -> None:
    structure = build_structure([np.ones((4, 3), np.bool_)])
    assert structure.places.tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    assert structure.column_units.tolist() == [3, 4, 5, 6] * 3


def test_two_networks_read_the_same_inputs() -> None:
    # Workspace rows: inputs 0 and 1; hidden 2 and 3, output 4; hidden 5, output 6.
    networks = [mask([1, 1], [0, 1]), mask([0, 1]), mask([1, 0]), mask([1])]
    structure = build_structure(networks, networks=2, first_input=1)
    layers = structure.layers
    assert layers["source"].tolist() == [0, 2, 0, 5]
    assert layers["target"].tolist() == [2, 4, 5, 6]
    assert layers["is_output"].tolist() == [0, 1, 0, 1]
    assert layers["first_input"].tolist() == [1, 0, 1, 0]
    assert layers["weights"].tolist() == [0, 3, 4, 5]
    assert layers["bias"].tolist() == [6, 8, 9, 10]
    assert structure.units.tolist() == [0, 1, 1, 3, 0, 5]
    assert structure.live.tolist() == [1, 0, 0, 0]
    assert structure.places.tolist() == [2, 3, 5]


def test_a_dense_layer_has_slots_for_all_weights_and_no_rows_or_columns() -> None:
    structure = build_structure([mask([1, 1], *[[0, 1]] * 31), np.eye(32) < 1, np.ones((1, 32), np.bool_)])
    layers = structure.layers
    assert layers["is_dense"].tolist() == [0, 1, 0]
    assert layers["weights"].tolist() == [0, 33, 33 + 32 * 32]
    assert layers["bias"].tolist() == [33 + 32 * 32 + 32 + first for first in (0, 32, 64)]
    assert layers["rows"].tolist() == [0, 33, 33]
    assert layers["columns"].tolist() == [0, 3, 3]
    assert len(structure.units) == layers["bias"][0]
    assert structure.units[-32:].tolist() == list(range(2 + 32, 2 + 64))


def test_a_chain_that_ends_nowhere_is_not_live() -> None:
    # The last layer reads unit 0 of two; of the layer before, unit 1 is read by the dead unit alone, unit 2 by none.
    masks = [mask([1], [1], [1]), mask([1, 0, 0], [0, 1, 0]), mask([1, 0])]
    assert [layer.tolist() for layer in find_live(masks, 1)] == [[True, False, False], [True, False], [True]]


def test_all_outputs_of_every_network_are_live() -> None:
    masks = [mask([1], [1], [1]), mask([1, 0, 0], [0, 1, 0]), mask([1], [1]), mask([0, 1])]
    assert [layer.tolist() for layer in find_live(masks, 2)] == [
        [True, True, False],
        [True, True],
        [False, True],
        [True],
    ]


@pytest.mark.parametrize(
    ("shape", "active", "expected"),
    [
        ((32, 32), 512, False),
        ((32, 32), 513, True),
        ((31, 100), 3100, False),
        ((100, 31), 3100, False),
        ((400, 300), 60_000, False),
        ((400, 300), 60_001, True),
    ],
)
def test_dense_is_above_half_of_at_least_32_by_32(shape: tuple[int, int], active: int, expected: bool) -> None:
    weights: NDArray[np.bool_] = np.arange(shape[0] * shape[1]).reshape(shape) < active
    assert is_dense(weights) is expected
    assert weight_slots(weights) == (weights.size if expected else active)
