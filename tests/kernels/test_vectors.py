"""The inner loops against numpy, over rows of all lengths: those of a few weights and long ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rlx2_ray.kernels import vectors
from rlx2_ray.kernels.compiled import compiled
from rlx2_ray.kernels.network import aligned_zeros
from rlx2_ray.kernels.vectors import LANES
from rlx2_ray.types import Floats

UNITS, ENTRIES, FIRST, ROW, START = 12, 150, 3, 5, np.float32(2)
LENGTHS = pytest.mark.parametrize("length", [*range(10), 63, 64, 65, 66])


# An intrinsic can be called from compiled code only, which has to know it by name.
@compiled
def row_relu(*arguments: Any) -> None:
    vectors.row_relu(*arguments)


@compiled
def row_linear(*arguments: Any) -> None:
    vectors.row_linear(*arguments)


@compiled
def row_gated(*arguments: Any) -> None:
    vectors.row_gated(*arguments)


@compiled
def row_added(*arguments: Any) -> None:
    vectors.row_added(*arguments)


@compiled
def row_gradient(*arguments: Any) -> None:
    vectors.row_gradient(*arguments)


def whole_numbers(*shape: int) -> NDArray[Any]:
    """So small that sums of them are exact: results have to be equal."""
    return np.random.default_rng(sum(shape)).integers(-9, 10, shape)


def draw_matrix(units: int) -> Floats:
    matrix = aligned_zeros(units)
    matrix[:] = whole_numbers(units, LANES)
    return matrix


WEIGHTS = whole_numbers(ENTRIES).astype(np.float32)
PLACES = (whole_numbers(ENTRIES, 1)[:, 0] % UNITS).astype(np.int32)


@LENGTHS
@pytest.mark.parametrize(
    ("product", "finish"),
    [
        (row_relu, lambda total, before: np.maximum(total, 0)),
        (row_linear, lambda total, before: total),
        (row_gated, lambda total, before: np.where(before > 0, total, 0)),
        (row_added, lambda total, before: before + total),
    ],
    ids=["relu", "linear", "gated", "added"],
)
def test_product(product: Callable[..., None], finish: Callable[[Floats, Floats], Floats], length: int) -> None:
    source, target = draw_matrix(UNITS), draw_matrix(UNITS + 1)
    expected = target.copy()
    row = slice(FIRST, FIRST + length)
    expected[ROW] = finish(START + WEIGHTS[row] @ source[PLACES[row]], target[ROW])
    product(WEIGHTS, PLACES, FIRST, FIRST + length, START, source, target, ROW)
    assert np.array_equal(target, expected)


@LENGTHS
def test_gradient(length: int) -> None:
    delta, source, gradient = draw_matrix(UNITS + 1), draw_matrix(UNITS), WEIGHTS.copy()
    expected = gradient.copy()
    row, bias = slice(FIRST, FIRST + length), ENTRIES - 1
    expected[row] += source[PLACES[row]] @ delta[ROW]
    expected[bias] += delta[ROW].sum()
    row_gradient(delta, ROW, source, PLACES, FIRST, FIRST + length, gradient, bias)
    assert np.array_equal(gradient, expected)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_infinite_or_undefined_value_is_not_lost(value: float) -> None:
    source, target = draw_matrix(UNITS), draw_matrix(UNITS)
    source[PLACES[FIRST], 17] = value
    row_linear(WEIGHTS, PLACES, FIRST, FIRST + 1, START, source, target, ROW)
    assert not np.isfinite(target[ROW, 17])
    assert np.isfinite(target[ROW]).sum() == LANES - 1
