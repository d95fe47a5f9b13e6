"""Weights as 8-bit integers: a row of a layer is integers times one scale, the row's greatest weight over 127."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.types import Floats

LARGEST = 127


class Integers(NamedTuple):
    weights: NDArray[np.int8]  # (outputs, inputs), in [-127, 127]
    scales: Floats  # (outputs,), 0 for a row of zeros


def quantize(weights: Floats) -> Integers:
    """Round to the nearest; a weight below half a step becomes zero."""
    scales = np.abs(weights).max(axis=1, initial=0) / np.float32(LARGEST)
    steps = np.where(scales == 0, 1, scales)[:, None]
    return Integers(np.rint(weights / steps).astype(np.int8), scales)


def dequantize(integers: Integers) -> Floats:
    return integers.weights * integers.scales[:, None]


def rounded(network: Sequence[DenseLayer]) -> list[DenseLayer]:
    """The network that the integers stand for; biases stay as they are."""
    return [DenseLayer(dequantize(quantize(weights)), bias) for weights, bias in network]
