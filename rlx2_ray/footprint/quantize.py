"""Weights as integers of 8 or 16 bits: a row of a layer is integers times one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.types import Floats

IntegerType = type[np.signedinteger[Any]]
INTEGER_TYPES: dict[str, IntegerType] = {"int8": np.int8, "int16": np.int16}


class Integers(NamedTuple):
    weights: NDArray[np.signedinteger[Any]]  # (outputs, inputs); the smallest number of the type is not used
    scales: Floats  # (outputs,), 0 for a row of zeros


def quantize(weights: Floats, kind: IntegerType) -> Integers:
    """Rounds to the nearest; a row's greatest weight is the type's, and one below half a step becomes zero."""
    scales = np.abs(weights).max(axis=1, initial=0) / np.float32(np.iinfo(kind).max)
    steps = np.where(scales == 0, 1, scales)[:, None]
    return Integers(np.rint(weights / steps).astype(kind), scales)


def dequantize(integers: Integers) -> Floats:
    return integers.weights.astype(np.float32) * integers.scales[:, None]


def rounded(network: Sequence[DenseLayer], kind: IntegerType) -> list[DenseLayer]:
    """Returns the network that the integers stand for; biases stay as they are."""
    return [DenseLayer(dequantize(quantize(weights, kind)), bias) for weights, bias in network]
