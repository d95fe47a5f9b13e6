"""A policy that acts: numpy only, one observation at a time, for rollouts and evaluation in processes without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import Floats

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


class Network(Protocol):
    @property
    def output_size(self) -> int: ...

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        """Returns (outputs,) for one observation, (N, outputs) for N of them; the first `squashed` go through tanh."""
        ...


class NoiseFreePolicy(Protocol):
    """Actions are in units of the action bound, in [-1, 1]."""

    def action(self, observation: Floats) -> Floats:
        """Returns the noise-free action (action_size,) for one observation, or (N, action_size) for N of them."""
        ...


class ActingPolicy(NoiseFreePolicy, Protocol):
    """A policy that collects experience: it also explores."""

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Returns the action to execute and the noise-free action, for one observation."""
        ...


class MeanPolicy:
    """The action without noise: tanh of the network's first outputs, of which there are several per action."""

    def __init__(self, network: Network, outputs_per_action: int = 1) -> None:
        self._network = network
        self._size = network.output_size // outputs_per_action

    def action(self, observation: Floats) -> Floats:
        return self._network.outputs(observation, squashed=self._size)[..., : self._size]


class DeterministicPolicy(MeanPolicy):
    """TD3 (Fujimoto et al. 2018, arXiv 1802.09477): tanh of the last layer; explores with Gaussian noise."""

    def __init__(self, network: Network, exploration_noise: float) -> None:
        super().__init__(network)
        self._noise = exploration_noise

    def explore(self, observation: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
        action = self.action(observation)
        noise = generator.standard_normal(action.shape, dtype=np.float32) * np.float32(self._noise)
        return np.clip(action + noise, -1, 1), action


class SquashedGaussianPolicy(MeanPolicy):
    """SAC (Haarnoja et al. 2018, arXiv 1812.05905): the last layer gives mean and log_std of a Gaussian before tanh."""

    def __init__(self, network: Network, sample: bool) -> None:
        super().__init__(network, outputs_per_action=2)
        self._sample = sample

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
    block: int = 1  # weights on a diagonal of a block of so many outputs and inputs are equal (sparse/circulant.py)


class DenseNetwork:
    """A network in numpy: an MLP with ReLU between layers, over the given arrays, which are kept by reference."""

    def __init__(self, layers: Sequence[DenseLayer]) -> None:
        self.layers = layers

    @property
    def output_size(self) -> int:
        return len(self.layers[-1].bias)

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        hidden = observation
        for layer in self.layers[:-1]:
            hidden = hidden @ layer.weights.T
            hidden += layer.bias
            np.maximum(hidden, 0, out=hidden)
        outputs = hidden @ self.layers[-1].weights.T + self.layers[-1].bias
        outputs[..., :squashed] = np.tanh(outputs[..., :squashed])
        return outputs


class NormalizedNetwork:
    """A network whose observations are normalised before, by whatever `normalize` does at the moment."""

    def __init__(self, network: Network, normalize: Callable[[Floats], Floats]) -> None:
        self._network = network
        self._normalize = normalize

    @property
    def output_size(self) -> int:
        return self._network.output_size

    def outputs(self, observation: Floats, squashed: int = 0) -> Floats:
        return self._network.outputs(self._normalize(observation), squashed)


def make_acting_policy(config: ExperimentConfig, network: Network) -> ActingPolicy:
    """The policy with which a run collects experience; the network is kept by reference."""
    if ALGORITHMS[config.algo].is_stochastic:
        return SquashedGaussianPolicy(network, sample=config.agent.exploration == "sample")
    return DeterministicPolicy(network, config.agent.exploration_noise)


def make_evaluation_policy(algo: str, network: Network) -> NoiseFreePolicy:
    """The policy of an algorithm that is evaluated; the network is kept by reference."""
    return MeanPolicy(network, ALGORITHMS[algo].outputs_per_action)


def normalized(network: Network, normalization: Normalization | None) -> Network:
    """The network over observations as the environment gives them."""
    return network if normalization is None else NormalizedNetwork(network, normalization.apply)


def make_network(weights: PolicyWeights) -> Network:
    """The network of a policy, of dense arrays."""
    return normalized(densify(weights.layers), weights.normalization)


def densify(layers: Layers) -> DenseNetwork:
    """Sparse layers as a network of dense arrays."""
    return DenseNetwork([DenseLayer(layer.scatter(), layer.bias) for layer in layers])
