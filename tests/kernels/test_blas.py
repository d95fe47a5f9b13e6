"""Matrix products in place against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.kernels.blas import gemm
from rlx2_ray.kernels.compiled import compiled

FLAGS = st.integers(0, 1)
SIZES = st.integers(1, 9) | st.integers(60, 70)


@compiled
def product(*arguments: Any) -> None:
    gemm(*arguments)


@given(SIZES, SIZES, SIZES, FLAGS, FLAGS, FLAGS, st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_every_transpose(
    rows: int, columns: int, inner: int, a_turned: int, b_turned: int, keep: int, offset: int, seed: int
) -> None:
    """Of a, a part is used that begins at `offset` in each of its rows, as where only some inputs need gradients."""
    generator = np.random.default_rng(seed)
    a = generator.integers(-9, 10, (inner, rows + offset) if a_turned else (rows, inner + offset)).astype(np.float32)
    b = generator.integers(-9, 10, (columns, inner) if b_turned else (inner, columns)).astype(np.float32)
    c = generator.integers(-9, 10, (rows, columns)).astype(np.float32)
    left, right = a[:, offset:].T if a_turned else a[:, offset:], b.T if b_turned else b
    expected = keep * c + left @ right
    product(a.ravel()[offset:], a.shape[1], a_turned, b, b_turned, c, (rows, columns, inner), np.float32(keep))
    assert np.array_equal(c, expected)


def test_matrices_may_be_parts_of_greater_ones() -> None:
    room = np.arange(40, dtype=np.float32).reshape(10, 4)
    expected = room.copy()
    expected[7:9] = room[:2, :3] @ room[4:7]
    product(room.ravel(), 4, 0, room[4:], 0, room[7:9], (2, 4, 3), np.float32(0))
    assert np.array_equal(room, expected)


@pytest.mark.parametrize("before", [np.nan, np.inf])
def test_what_is_not_kept_is_not_read(before: float) -> None:
    ones, result = np.ones((2, 2), np.float32), np.full((2, 2), before, np.float32)
    product(ones.ravel(), 2, 0, ones, 0, result, (2, 2, 2), np.float32(0))
    assert result.tolist() == [[2, 2], [2, 2]]


def test_no_rows_are_no_work() -> None:
    weights, result = np.ones(4, np.float32), np.zeros((0, 2), np.float32)
    product(weights[2:], 2, 1, np.ones((2, 2), np.float32), 0, result, (0, 2, 2), np.float32(0))
    assert result.shape == (0, 2)
