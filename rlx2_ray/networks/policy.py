"""A policy that acts: numpy only, one observation at a time, for rollouts and evaluation in processes without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import Floats

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


class DenseLayer(NamedTuple):
    weights: Floats  # (outputs, inputs), zero where inactive
    bias: Floats  # (outputs,)


class Policy(Protocol):
    """Actions are in units of the action bound, in [-1, 1]."""

    def action(self, observation: Floats) -> Floats:
        """(action_size,) noise-free action for one observation, or (N, action_size) for N of them."""
        ...

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """(action to execute, noise-free action) for one observation."""
        ...


class DeterministicPolicy:
    """TD3 (Fujimoto et al. 2018, arXiv 1802.09477): tanh of the last layer; explores with Gaussian noise."""

    def __init__(self, layers: Sequence[DenseLayer], exploration_noise: float) -> None:
        self._layers = layers
        self._noise = exploration_noise

    def action(self, observation: Floats) -> Floats:
        return np.tanh(forward(self._layers, observation))

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        action = self.action(observation)
        noise = generator.standard_normal(action.shape, dtype=np.float32) * np.float32(self._noise)
        return np.clip(action + noise, -1, 1), action


class SquashedGaussianPolicy:
    """SAC (Haarnoja et al. 2018, arXiv 1812.05905): the last layer gives mean and log_std of a Gaussian before tanh."""

    def __init__(self, layers: Sequence[DenseLayer], sample: bool) -> None:
        self._layers = layers
        self._sample = sample

    def action(self, observation: Floats) -> Floats:
        mean, _ = np.split(forward(self._layers, observation), 2, axis=-1)
        return np.tanh(mean)

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        mean, raw = np.split(forward(self._layers, observation), 2, axis=-1)
        action = np.tanh(mean)
        if not self._sample:
            return action, action
        std = np.exp(LOG_STD_MIN + (LOG_STD_MAX - LOG_STD_MIN) / 2 * (np.tanh(raw) + 1))
        return np.tanh(mean + std * generator.standard_normal(mean.shape, dtype=np.float32)), action


def forward(layers: Sequence[DenseLayer], observation: Floats) -> Floats:
    """An MLP with ReLU between layers; (..., inputs) to (..., outputs)."""
    hidden = observation
    for weights, bias in layers[:-1]:
        hidden = hidden @ weights.T
        hidden += bias
        np.maximum(hidden, 0, out=hidden)
    weights, bias = layers[-1]
    return hidden @ weights.T + bias


def make_policy(algo: str, layers: Sequence[DenseLayer], exploration_noise: float, exploration: str) -> Policy:
    """The acting policy of an algorithm over the given arrays, which are kept by reference."""
    if algo == "td3":
        return DeterministicPolicy(layers, exploration_noise)
    return SquashedGaussianPolicy(layers, sample=exploration == "sample")


def densify(layers: Layers) -> list[DenseLayer]:
    """Sparse layers as dense arrays."""
    return [DenseLayer(layer.scatter(), layer.bias) for layer in layers]
