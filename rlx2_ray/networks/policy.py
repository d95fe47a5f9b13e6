"""A policy that acts: numpy only, one observation at a time, for rollouts and evaluation in processes without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import Floats

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


class Network(Protocol):
    @property
    def output_size(self) -> int: ...

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        """(outputs,) for one observation, or (N, outputs) for N of them; the first `squashed` go through tanh."""
        ...


class NoiseFreePolicy(Protocol):
    """Actions are in units of the action bound, in [-1, 1]."""

    def action(self, observation: Floats) -> Floats:
        """(action_size,) noise-free action for one observation, or (N, action_size) for N of them."""
        ...


class Policy(NoiseFreePolicy, Protocol):
    """One that also explores."""

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """(action to execute, noise-free action) for one observation."""
        ...


class DeterministicPolicy:
    """TD3 (Fujimoto et al. 2018, arXiv 1802.09477): tanh of the last layer; explores with Gaussian noise."""

    def __init__(self, network: Network, exploration_noise: float) -> None:
        self._network = network
        self._size = network.output_size
        self._noise = exploration_noise

    def action(self, observation: Floats) -> Floats:
        return self._network.outputs(observation, squashed=self._size)

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        action = self.action(observation)
        noise = generator.standard_normal(action.shape, dtype=np.float32) * np.float32(self._noise)
        return np.clip(action + noise, -1, 1), action


class SquashedGaussianPolicy:
    """SAC (Haarnoja et al. 2018, arXiv 1812.05905): the last layer gives mean and log_std of a Gaussian before tanh."""

    def __init__(self, network: Network, sample: bool) -> None:
        self._network = network
        self._size = network.output_size // 2
        self._sample = sample

    def action(self, observation: Floats) -> Floats:
        return self._network.outputs(observation, squashed=self._size)[..., : self._size]

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        outputs = self._network.outputs(observation)
        mean, raw = outputs[..., : self._size], outputs[..., self._size :]
        action = np.tanh(mean)
        if not self._sample:
            return action, action
        std = np.exp(LOG_STD_MIN + (LOG_STD_MAX - LOG_STD_MIN) / 2 * (np.tanh(raw) + 1))
        return np.tanh(mean + std * generator.standard_normal(mean.shape, dtype=np.float32)), action


class DenseLayer(NamedTuple):
    weights: Floats  # (outputs, inputs), zero where inactive
    bias: Floats  # (outputs,)


class DenseNetwork:
    """In numpy: an MLP with ReLU between layers, over the given arrays, which are kept by reference."""

    def __init__(self, layers: Sequence[DenseLayer]) -> None:
        self.layers = layers

    @property
    def output_size(self) -> int:
        return len(self.layers[-1].bias)

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        hidden = observation
        for weights, bias in self.layers[:-1]:
            hidden = hidden @ weights.T
            hidden += bias
            np.maximum(hidden, 0, out=hidden)
        weights, bias = self.layers[-1]
        outputs = hidden @ weights.T + bias
        outputs[..., :squashed] = np.tanh(outputs[..., :squashed])
        return outputs


def make_policy(algo: str, network: Network, exploration_noise: float, exploration: str) -> Policy:
    """The acting policy of an algorithm with the given network, which is kept by reference."""
    if algo == "td3":
        return DeterministicPolicy(network, exploration_noise)
    return SquashedGaussianPolicy(network, sample=exploration == "sample")


def densify(layers: Layers) -> DenseNetwork:
    """Sparse layers as a network of dense arrays."""
    return DenseNetwork([DenseLayer(layer.scatter(), layer.bias) for layer in layers])
