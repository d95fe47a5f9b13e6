"""One topology event: a layer of eight weights worked by hand, and what no sequence of events may break."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.sparse.topology import DROPS, drop_by_sign, update_of_units, update_topology
from rlx2_ray.types import Bools, Floats

# Active are 0, 1, 3 and 5; by |weight|, least first: 1, 5, 3, 0.
WEIGHTS = np.array([[0.9, -0.1, 0, 0.5], [0, -0.3, 0, 0]], np.float32)
MASK = np.array([[1, 1, 0, 1], [0, 1, 0, 0]], np.bool_)
# Grown first: 0 (once it is dropped), then 1, 2, 7, 6, 4, 5, 3.
SCORES = np.array([[9.9, 0.8, 0.7, 0], [0.3, 0.2, 0.4, 0.6]], np.float32)


def places(mask: Bools) -> list[int]:
    return np.flatnonzero(mask).tolist()


@pytest.mark.parametrize(
    ("drop_fraction", "mask", "grown", "dropped"),
    [
        (0.0, [0, 1, 3, 5], [], []),
        (0.24, [0, 1, 3, 5], [], []),  # floor(0.96) = 0
        (0.25, [0, 1, 3, 5], [], []),  # 1 is dropped and grown again
        (0.5, [0, 1, 2, 3], [2], [5]),  # 1 and 5 go; 1 and 2 come
        (0.74, [0, 1, 2, 3], [2], [5]),  # floor(2.96) = 2
        (0.75, [0, 1, 2, 7], [2, 7], [3, 5]),  # 1, 5 and 3 go; 1, 2 and 7 come
        (1.0, [0, 1, 2, 7], [2, 7], [3, 5]),  # all go; 0, 1, 2 and 7 come
    ],
)
def test_eight_weights(drop_fraction: float, mask: list[int], grown: list[int], dropped: list[int]) -> None:
    after = update_topology(WEIGHTS, MASK, SCORES, drop_fraction)
    assert (places(after), places(after & ~MASK), places(MASK & ~after)) == (mask, grown, dropped)


@pytest.mark.parametrize(
    ("drop_fraction", "mask"),
    [
        (0.25, [0, 1, 3, 5]),  # 1 goes, and is its unit's first to come
        (0.5, [0, 1, 3, 7]),  # 1 and 5 go; the second unit grows 7, the best of its own
        (0.75, [0, 1, 2, 7]),  # 1, 5 and 3 go; the first unit grows two
        (1.0, [0, 1, 2, 7]),
    ],
)
def test_eight_weights_of_two_units_that_keep_three_and_one(drop_fraction: float, mask: list[int]) -> None:
    assert places(update_of_units(WEIGHTS, MASK, SCORES, drop_fraction)) == mask


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from(sorted(DROPS)))
@settings(max_examples=25)
def test_units_keep_their_number_over_events(outputs: int, inputs: int, seed: int, drop: Any) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random((outputs, inputs)) < 0.5
    counts = mask.sum(axis=1).tolist()
    for _ in range(50):
        weights = mask * generator.integers(-2, 3, mask.shape).astype(np.float32)  # with ties and zeros
        fraction, scores = generator.random(), generator.integers(0, 3, mask.shape).astype(np.float32)
        kept = mask & ~DROPS[drop](weights, mask, fraction)
        mask = update_of_units(weights, mask, scores, fraction, drop)
        assert mask.sum(axis=1).tolist() == counts
        assert np.all(mask[kept]), "what does not go stays"


# Positive are 0.9, 0.2, 0.5 and the active zero at 6; negative -0.1, -0.3, -0.8.
SIGNED = np.array([[0.9, -0.1, 0, 0.2], [-0.8, -0.3, 0, 0.5]], np.float32)
SIGNED_MASK = np.array([[1, 1, 0, 1], [1, 1, 1, 1]], np.bool_)


@pytest.mark.parametrize(
    ("fraction", "dropped"),
    [
        (0.0, []),
        (0.25, [6]),  # floor(1) of four that are not negative: the zero; floor(.75) of three negative
        (0.5, [1, 3, 6]),  # 0 and 0.2; -0.1
        (0.7, [1, 3, 5, 6]),  # floor(2.8) = 2 and floor(2.1) = 2: -0.3 as well
        (1.0, [0, 1, 3, 4, 5, 6, 7]),
    ],
)
def test_dropping_by_sign_takes_its_part_of_each(fraction: float, dropped: list[int]) -> None:
    assert places(drop_by_sign(SIGNED, SIGNED_MASK, fraction)) == dropped


def test_by_sign_may_leave_smaller_weights_than_it_takes() -> None:
    weights = np.array([[0.9, 0.8, -0.1, -0.2]], np.float32)
    mask = update_topology(weights, np.ones((1, 4), np.bool_), np.array([[1, 2, 3, 4]], np.float32), 0.5, "signed")
    assert places(mask) == [0, 1, 2, 3], "0.8 and -0.1 go, and come back, for there is nothing else"
    assert places(drop_by_sign(weights, np.ones((1, 4), np.bool_), 0.5)) == [1, 2]


def test_of_equals_the_first_stay_and_the_first_come() -> None:
    tied = np.where(MASK, np.float32(0.5), np.float32(0))
    # 0 and 1 are kept, 3 and 5 go; the first of the rest are 2 and 3.
    assert places(update_topology(tied, MASK, np.zeros_like(SCORES), 0.5)) == [0, 1, 2, 3]


def test_an_active_weight_of_zero_outlives_inactive_ones() -> None:
    assert places(update_topology(np.zeros_like(WEIGHTS), MASK, SCORES, 0.0)) == [0, 1, 3, 5]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from(sorted(DROPS)))
@settings(max_examples=25)
def test_hundreds_of_events_keep_the_count(outputs: int, inputs: int, seed: int, drop: Any) -> None:
    generator = np.random.default_rng(seed)
    shape = (outputs, inputs)
    mask = generator.random(shape) < 0.5
    count = mask.sum()
    for _ in range(200):
        weights = mask * generator.integers(-2, 3, shape).astype(np.float32)  # with ties and zeros
        scores = generator.integers(0, 3, shape).astype(np.float32)
        before, mask = mask, check_event(weights, mask, scores, generator.random())
        assert mask.sum() == count == before.sum()


def check_event(weights: Floats, mask: Bools, scores: Floats, drop_fraction: float) -> Bools:
    """The new mask of an event whose dropped weights were not too many, and not the greatest."""
    after = update_topology(weights, mask, scores, drop_fraction)
    dropped = mask & ~after
    assert dropped.sum() <= drop_fraction * mask.sum()
    stayed = np.abs(weights[mask & after])
    lost = np.abs(weights[dropped])
    regrown = int(drop_fraction * mask.sum()) - len(lost)
    assert not len(lost) or (stayed < lost.min()).sum() <= regrown
    return after
