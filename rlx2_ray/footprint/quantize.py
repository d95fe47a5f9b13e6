"""Weights as integers of 8 or 16 bits: a row of a layer is integers times one scale.

Where weights share values along the diagonals of blocks, all rows of a block have one scale.
"""

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


def quantize(weights: Floats, kind: IntegerType, block: int = 1) -> Integers:
    """Rounds to the nearest; a row's greatest weight is the type's, and one below half a step becomes zero.

    `block`: so many rows have one scale, by the greatest weight of all.
    """
    greatest: Floats = greatest_of_block(np.abs(weights).max(axis=1, initial=0), block)
    scales: Floats = greatest / np.float32(np.iinfo(kind).max)
    steps = np.where(scales == 0, 1, scales)[:, None]
    return Integers(np.rint(weights / steps).astype(kind), scales)


def greatest_of_block(rows: NDArray[Any], block: int) -> NDArray[Any]:
    """Returns (outputs,), of each row the greatest of `rows` (outputs,) in its block of so many."""
    greatest: NDArray[Any] = np.repeat(np.maximum.reduceat(rows, np.arange(0, len(rows), block)), block)[: len(rows)]
    return greatest


def dequantize(integers: Integers) -> Floats:
    return integers.weights.astype(np.float32) * integers.scales[:, None]


def rounded(network: Sequence[DenseLayer], kind: IntegerType) -> list[DenseLayer]:
    """Returns the network that the integers stand for; biases stay as they are."""
    return [layer._replace(weights=dequantize(quantize(layer.weights, kind, layer.block))) for layer in network]
