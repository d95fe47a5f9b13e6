"""The functions over the whole of float32, against float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rlx2_ray.kernels import mathematics
from rlx2_ray.kernels.compiled import compiled
from rlx2_ray.types import Floats

BOUND = 2e-7
INFINITY_BITS = 0x7F800000

Doubles = NDArray[np.float64]


def over_array(function: Callable[..., Any]) -> Callable[[Floats], Floats]:
    @compiled
    def loop(values: Floats, results: Floats) -> None:
        for place in range(values.size):
            results[place] = function(values[place])

    def apply(values: Floats) -> Floats:
        results = np.empty_like(values)
        loop(values, results)
        return results

    return apply


exp, tanh, softplus = (over_array(getattr(mathematics, name)) for name in ("exp", "tanh", "softplus"))


def all_magnitudes() -> Floats:
    """A million finite numbers of either sign, from denormal to the greatest, with 0 and -0."""
    bits = np.arange(0, INFINITY_BITS, 2039, dtype=np.int32)
    positive = bits.view(np.float32)
    return np.concatenate([positive, -positive])


def around(value: float) -> Floats:
    """The 2001 numbers next to one."""
    bits = np.float32(value).view(np.int32) + np.arange(-1000, 1001, dtype=np.int32)
    return bits.view(np.float32)


HALVES = np.log(2) * (np.arange(-120, 120) + 0.5)  # where exp goes over to the next power of two
VALUES = np.concatenate(
    [
        all_magnitudes(),
        np.linspace(-100, 100, 500_001, dtype=np.float32),
        *(around(sign * value) for sign in (-1, 1) for value in (0.1, 1, 20, 87.3, 88.7)),
        *map(around, HALVES),
    ]
)


def softplus_reference(values: Doubles) -> Doubles:
    return np.maximum(values, 0) + np.log1p(np.exp(-np.abs(values)))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (exp, lambda values: np.exp(np.clip(values, -mathematics.LARGEST, mathematics.LARGEST))),
        (tanh, np.tanh),
        (softplus, softplus_reference),
    ],
    ids=["exp", "tanh", "softplus"],
)
def test_errors_are_within_their_bound(
    function: Callable[[Floats], Floats], expected: Callable[[Doubles], Doubles]
) -> None:
    truth = expected(VALUES.astype(np.float64))
    errors = np.abs(function(VALUES) - truth) / np.maximum(np.abs(truth), 1)
    assert errors.max() < BOUND, VALUES[errors.argmax()]


def test_tanh_of_small_values_keeps_its_digits() -> None:
    small = VALUES[(np.abs(VALUES) < 0.1) & (np.abs(VALUES) > 1e-37)]
    assert np.abs(tanh(small) / np.tanh(small.astype(np.float64)) - 1).max() < BOUND


def test_tanh_is_odd_and_stays_within_one() -> None:
    results = tanh(VALUES)
    assert np.abs(results).max() == 1
    assert np.array_equal(np.sign(results), np.sign(VALUES))
    small = VALUES[np.abs(VALUES) < 0.1]
    assert np.array_equal(tanh(-small), -tanh(small))


def test_zeros_and_infinities() -> None:
    ends = np.array([-np.inf, -0.0, 0.0, np.inf], np.float32)
    assert exp(ends).tolist() == pytest.approx([np.exp(-87.3), 1, 1, np.exp(87.3)], rel=1e-5)
    assert tanh(ends).tolist() == [-1, 0, 0, 1]
    assert np.signbit(tanh(ends)).tolist() == [True, True, False, False]
    assert softplus(ends).tolist() == pytest.approx([0, np.log(2), np.log(2), np.inf], abs=1e-6)


def test_exp_is_never_0_and_never_infinite() -> None:
    results = exp(VALUES)
    assert results.min() >= np.finfo(np.float32).tiny
    assert np.isfinite(results).all()


def test_softplus_of_nothing_is_negative() -> None:
    assert softplus(VALUES).min() > 0
