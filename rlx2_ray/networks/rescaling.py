"""Weights rescaled over the active ones of their layer: w -> gain * (w - mean) / deviation.

As in PlaD (an ICLR 2024 submission, openreview WsIDPBcnCN), whose policies and critics hold 90 % zeros by it. Its gain
is 1, and this one 1 / sqrt(active weights of a unit), as in scaled weight standardisation (Brock et al. 2021, arXiv
2101.08692): without it the outputs of a dense layer of 256 units would be 16 times its inputs, so that a dense agent
could not be given the same. Training steps the raw weights; what everybody else sees, a policy's file too, are the
rescaled ones, so that nothing is left to do when they are used.
"""

from __future__ import annotations

import math

import numpy as np

from rlx2_ray.networks.sparse_layer import Layers, SparseLayer

EPSILON = 1e-8  # added to the variance


def gain_of(active: int, outputs: int) -> float:
    """For a layer of so many active weights and outputs."""
    return 1 / math.sqrt(max(1.0, active / outputs))


def rescaled(layers: Layers) -> Layers:
    return tuple(_rescaled(layer) for layer in layers)


def _rescaled(layer: SparseLayer) -> SparseLayer:
    weights = layer.weights.astype(np.float64)
    gain = gain_of(len(weights), layer.shape[0])
    values = gain * (weights - weights.mean()) / np.sqrt(weights.var() + EPSILON)
    return layer._replace(weights=values.astype(np.float32))
