"""exp, tanh and softplus in float32 that a loop over lanes can compute as vectors; a library call could not be.

Errors against float64 stay under 3e-7 of the value or of 1, whichever is greater (tests/kernels/test_mathematics.py).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from rlx2_ray.kernels.compiled import compiled

f = np.float32
LARGEST: Final = f(87.3)  # exp of it is still finite, and of its negative still normal
LOG2_E: Final = f(1.4426950408889634)
# log 2 as the sum of a short number, whose products with small integers are exact, and the rest
LOG_2_HIGH, LOG_2_LOW = f(0.693359375), f(-2.12194440e-4)


@intrinsic  # type: ignore[untyped-decorator]
def _float_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 with the bits of an int32."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@compiled
def exp(x: np.float32) -> np.float32:
    """Returns exp of x clipped to +-87.3. exp(x) = 2^n exp(r), |r| <= log(2) / 2, exp(r) by its Taylor polynomial."""
    x = min(max(x, -LARGEST), LARGEST)
    n = np.floor(x * LOG2_E + f(0.5))
    r = x - n * LOG_2_HIGH - n * LOG_2_LOW
    tail = f(1 / 6) + r * (f(1 / 24) + r * (f(1 / 120) + r * (f(1 / 720) + r * f(1 / 5040))))
    taylor = f(1) + r * (f(1) + r * (f(0.5) + r * tail))
    result: np.float32 = taylor * _float_of_bits((np.int32(n) + np.int32(127)) << np.int32(23))
    return result


@compiled
def tanh(x: np.float32) -> np.float32:
    """tanh(x) = t / (t + 2) with t = exp(2x) - 1; below 0.1 by its Taylor polynomial, for t would lose digits."""
    small = abs(x) < f(0.1)
    square = x * x
    series = x * (f(1) + square * (f(-1 / 3) + square * (f(2 / 15) + square * f(-17 / 315))))
    t = exp(f(2) * min(max(x, f(-20)), f(20))) - f(1)
    return series if small else t / (t + f(2))


@compiled
def softplus(x: np.float32) -> np.float32:
    """log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|); log(1 + e) = 2 atanh(e / (2 + e)) by its series."""
    e = exp(-abs(x))
    ratio = e / (f(2) + e)  # at most 1/3
    square = ratio * ratio
    series = f(1 / 9) + square * (f(1 / 11) + square * (f(1 / 13) + square * f(1 / 15)))
    series = f(1) + square * (f(1 / 3) + square * (f(1 / 5) + square * (f(1 / 7) + square * series)))
    return max(x, f(0)) + f(2) * ratio * series
