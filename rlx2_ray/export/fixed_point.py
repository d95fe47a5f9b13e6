"""A policy in integers alone, for chips without a floating point unit: what it computes, to the bit, as its C does.

Values between layers are int16 in steps of a power of two; a row's sum is int32, of int8 weights times values, and is
brought to the steps of the next layer by a multiplier and a shift, rounded to the nearest. tanh is a table, between
whose entries a line is drawn. Whatever comes in saturates, and no sum can overflow (`sums_fit`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.footprint.quantize import greatest_of_block, quantize
from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.sparse.circulant import along_diagonals, diagonals_of
from rlx2_ray.types import Floats

Shorts = NDArray[np.int16]
MOST = 2**15 - 1  # of a value
MOST_SUM = 2**31 - 1
MARGIN = 2.0  # times the greatest value that was seen, up to which a layer's values reach
OUTPUT_STEPS = 2**12  # in 1, of what goes into tanh: up to 8
TANH_BITS = 7  # of the place between two entries of its table
TANH = np.rint(MOST * np.tanh(np.arange(257) / 32)).astype(np.int16)
EMPTY_BIAS = 2**20  # of a row without weights, in steps of its sum
MANTISSA_BITS = 31  # of a multiplier
MOST_SHIFT = 62


class FixedLayer(NamedTuple):
    weights: NDArray[np.int8]  # (outputs, inputs)
    bias: NDArray[np.int32]  # (outputs,), in steps of the sums
    multipliers: NDArray[np.int32]  # (outputs,), >= 0
    shifts: NDArray[np.uint8]  # (outputs,)
    block: int = 1  # so many rows have equal multipliers and shifts, and equal weights on diagonals (`DenseLayer`)


class FixedNetwork:
    """A network whose outputs are those of the C, in 1 / 32767 of half an action's range around its middle."""

    def __init__(self, layers: Sequence[FixedLayer], limits: Shorts, steps: float) -> None:
        """
        Args:
            layers: of the network, from the observation to the actions.
            limits: (layers,), up to which the values that come into each layer reach.
            steps: a power of two, of an observation's number in 1.
        """
        self.layers, self.limits, self.steps = layers, limits, steps

    @property
    def output_size(self) -> int:
        return len(self.layers[-1].bias)

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        """Returns the actions in [-1, 1], of observations (..., observation_size): all have gone through tanh."""
        return self.act(self.quantized(observation)).astype(np.float32) / np.float32(MOST)

    def quantized(self, observations: Floats) -> Shorts:
        """Returns the integers of observations: the nearest, halves away from 0."""
        limit = np.float32(self.limits[0])
        scaled = np.clip(observations * np.float32(self.steps), -limit, limit)
        whole: Shorts = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).clip(-limit, limit).astype(np.int16)
        return whole

    def act(self, observations: Shorts) -> Shorts:
        """Returns (..., actions) of (..., observation_size), which saturate at the first limit."""
        limits = [*map(int, self.limits[1:]), MOST]
        values = np.clip(observations, -self.limits[0], self.limits[0]).astype(np.int64)
        for layer, limit in zip(self.layers, limits, strict=True):
            values = _rescaled(values @ layer.weights.T.astype(np.int64) + layer.bias, layer, limit)
            if layer is not self.layers[-1]:
                values = np.maximum(values, 0)
        return squash(values)


def _rescaled(sums: NDArray[np.int64], layer: FixedLayer, limit: int) -> NDArray[np.int64]:
    shifts = layer.shifts.astype(np.int64)
    scaled = (np.abs(sums) * layer.multipliers + (np.int64(1) << shifts >> 1)) >> shifts
    values: NDArray[np.int64] = np.sign(sums) * np.minimum(scaled, limit)
    return values


def squash(values: NDArray[np.int64]) -> Shorts:
    """Returns MOST tanh(value / OUTPUT_STEPS), within 1e-4 of MOST; values within +-MOST."""
    distances = np.abs(values)
    places, between = distances >> TANH_BITS, distances & (2**TANH_BITS - 1)
    table = TANH.astype(np.int64)
    low, high = table[places], table[places + 1]
    squashed = np.sign(values) * (low + (((high - low) * between + 2 ** (TANH_BITS - 1)) >> TANH_BITS))
    actions: Shorts = squashed.astype(np.int16)
    return actions


def to_fixed_point(network: Sequence[DenseLayer], observations: Floats) -> FixedNetwork:
    """Returns the network with its weights as int8.

    Args:
        network: of float32, whose weights may be integers times a scale of their row already.
        observations: (n, inputs) such as it will be given, from which the ranges of all values are taken.
    """
    fitted: list[_Fitted] = []
    matrices, values = [], observations
    for layer in network:
        weights, scales = quantize(layer.weights, np.int8, layer.block)
        reach = MARGIN * (float(np.abs(values).max(initial=0)) or 1.0)
        fitted.append(_fitting(weights, scales, layer.bias, layer.block, reach))
        matrices.append(weights)
        values = np.maximum(values @ layer.weights.T + layer.bias, 0)
    steps = [*(each.step for each in fitted), float(OUTPUT_STEPS)]
    layers = [
        FixedLayer(weights, each.bias, *_multipliers(each.scales * (out / each.step)), layer.block)
        for weights, layer, each, out in zip(matrices, network, fitted, steps[1:], strict=True)
    ]
    return FixedNetwork(layers, np.array([each.limit for each in fitted], np.int16), steps[0])


class _Fitted(NamedTuple):
    limit: int  # of the values that come in
    step: float  # of them in 1
    scales: NDArray[np.float64]  # of the rows
    bias: NDArray[np.int32]  # in steps of the sums


def _fitting(weights: NDArray[np.int8], scales: Floats, bias: Floats, block: int, reach: float) -> _Fitted:
    """The finest steps of the values that come in, up to `reach`, with which all sums fit."""
    for bits in range(15, 0, -1):
        limit = 2**bits - 1
        step = 2.0 ** math.floor(math.log2(limit / reach))
        # Rows without weights are their bias alone.
        whole = greatest_of_block(np.abs(bias.astype(np.float64)), block) * step / EMPTY_BIAS
        own = np.where(scales > 0, scales.astype(np.float64), np.where(whole > 0, whole, 1.0))
        steps = np.rint(bias / own * step)
        if np.all(np.abs(steps) <= MOST_SUM) and sums_fit(weights, steps.astype(np.int32), limit, block):
            return _Fitted(limit, step, own, steps.astype(np.int32))
    raise ValueError("its numbers are too far apart for 32-bit sums")


def sums_fit(weights: NDArray[np.int8], bias: NDArray[np.int32], limit: int, block: int = 1) -> bool:
    """Whether no sum of a row can be beyond 32 bits, whatever values up to the limit come in.

    Rows that the last of several blocks does not have are summed up too, and thrown away.
    """
    rows = len(weights) if len(weights) < block else -(-len(weights) // block) * block
    whole = along_diagonals(diagonals_of(weights, block), (rows, weights.shape[1]), block)
    most = np.abs(whole.astype(np.int64)).sum(axis=1) * limit
    most[: len(bias)] += np.abs(bias.astype(np.int64))
    return bool((most <= MOST_SUM).all())


def _multipliers(factors: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Returns (m, s) with m / 2^s nearest to each factor, m of 31 bits."""
    mantissas, exponents = np.frexp(factors)
    shifts = MANTISSA_BITS - exponents
    whole = np.rint(np.ldexp(mantissas, MANTISSA_BITS)).astype(np.int64)
    carried = whole > MOST_SUM  # a mantissa that rounds up to 1
    whole, shifts = np.where(carried, whole >> 1, whole), np.where(carried, shifts - 1, shifts)
    whole = np.where(shifts > MOST_SHIFT, 0, whole)  # nothing of any sum is left
    if (shifts < 0).any():
        raise ValueError("its numbers are too far apart for 32-bit multipliers")
    return whole.astype(np.int32), np.minimum(shifts, MOST_SHIFT).astype(np.uint8)
