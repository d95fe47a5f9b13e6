"""The named reference: dense TD3 and SAC as one writes them in torch, on one thread, with batches ready as tensors.

1-step targets, two hidden layers, the update of Fujimoto et al. 2018 (arXiv 1802.09477) and Haarnoja et al. 2018 (arXiv
1812.05905). Adam is torch's default ("eager") or its fused one; "compiled" is fused and has the losses go through
torch.compile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.policy import LOG_STD_MAX, LOG_STD_MIN
from rlx2_ray.types import Spaces

Variant = Literal["eager", "fused", "compiled"]


class TorchDense:
    """What both algorithms share."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces, variant: Variant) -> None:
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        self.agent = config.agent
        self.steps = 0
        sizes = (spaces.observation_size + spaces.action_size, *config.network.hidden, 1)
        self.critics, self.target_critics = ([_mlp(sizes) for _ in range(2)] for _ in range(2))
        outputs = ALGORITHMS[config.algo].outputs_per_action * spaces.action_size
        sizes = (spaces.observation_size, *config.network.hidden, outputs)
        self.policy, self.target_policy = _mlp(sizes), _mlp(sizes)
        self.batch = _random_batch(spaces, config.agent.batch_size)
        fused = variant != "eager"
        self.critic_parameters = [tensor for critic in self.critics for tensor in critic.parameters()]
        self.policy_parameters = list(self.policy.parameters())
        self.critic_adam = torch.optim.Adam(self.critic_parameters, config.agent.learning_rate, fused=fused)
        self.policy_adam = torch.optim.Adam(self.policy_parameters, config.agent.learning_rate, fused=fused)
        compiled: Callable[[Any], Any] = torch.compile if variant == "compiled" else _as_it_is
        self.critic_loss, self.policy_loss = compiled(self._critic_loss), compiled(self._policy_loss)

    def update(self) -> None:
        self.steps += 1
        _step(self.critic_adam, self.critic_loss())
        if self.steps % self.agent.policy_delay == 0:
            self._update_policy()
            _polyak(self.target_critics, self.critics, self.agent.tau)

    def _update_policy(self) -> None:
        for tensor in self.critic_parameters:  # their gradient would be computed for nothing
            tensor.requires_grad_(False)
        _step(self.policy_adam, self.policy_loss())
        for tensor in self.critic_parameters:
            tensor.requires_grad_(True)

    def _regression(self, targets: Tensor) -> Tensor:
        observations, actions, *_ = self.batch
        inputs = torch.cat([observations, actions], 1)
        first, second = (mse_loss(critic(inputs).squeeze(1), targets) for critic in self.critics)
        return first + second

    def _target_values(self, observations: Tensor, actions: Tensor) -> Tensor:
        inputs = torch.cat([observations, actions], 1)
        return torch.minimum(*(critic(inputs).squeeze(1) for critic in self.target_critics))

    def _critic_loss(self) -> Tensor:
        raise NotImplementedError

    def _policy_loss(self) -> Tensor:
        raise NotImplementedError


class TorchTD3(TorchDense):
    def _critic_loss(self) -> Tensor:
        _, actions, rewards, next_observations, ended = self.batch
        with torch.no_grad():
            clip = self.agent.target_noise_clip
            noise = (torch.randn_like(actions) * self.agent.target_policy_noise).clamp(-clip, clip)
            next_actions = (self.target_policy(next_observations).tanh() + noise).clamp(-1, 1)
            values = self._target_values(next_observations, next_actions)
            targets = rewards + (1 - ended) * self.agent.discount * values
        return self._regression(targets)

    def _policy_loss(self) -> Tensor:
        observations = self.batch[0]
        actions = self.policy(observations).tanh()
        q: Tensor = self.critics[0](torch.cat([observations, actions], 1))
        return -q.mean()

    def _update_policy(self) -> None:
        super()._update_policy()
        _polyak([self.target_policy], [self.policy], self.agent.tau)


class TorchSAC(TorchDense):
    def __init__(self, config: ExperimentConfig, spaces: Spaces, variant: Variant) -> None:
        super().__init__(config, spaces, variant)
        self.log_temperature = torch.zeros(1, requires_grad=True)
        self.temperature_adam = torch.optim.Adam([self.log_temperature], config.agent.learning_rate)
        self.target_entropy = -spaces.action_size

    def _sample(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        mean, raw = self.policy(observations).chunk(2, 1)
        log_std = LOG_STD_MIN + (LOG_STD_MAX - LOG_STD_MIN) / 2 * (raw.tanh() + 1)
        noise = torch.randn_like(mean)
        unsquashed = mean + log_std.exp() * noise
        log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        log_jacobian = 2 * (math.log(2) - unsquashed - softplus(-2 * unsquashed))
        return unsquashed.tanh(), (log_normal - log_jacobian).sum(1)

    def _critic_loss(self) -> Tensor:
        _, _, rewards, next_observations, ended = self.batch
        with torch.no_grad():
            actions, log_probs = self._sample(next_observations)
            values = self._target_values(next_observations, actions) - self.log_temperature.exp() * log_probs
            targets = rewards + (1 - ended) * self.agent.discount * values
        return self._regression(targets)

    def _policy_loss(self) -> Tensor:
        observations = self.batch[0]
        actions, log_probs = self._sample(observations)
        inputs = torch.cat([observations, actions], 1)
        values = torch.minimum(*(critic(inputs).squeeze(1) for critic in self.critics))
        self.log_probs = log_probs.detach()
        return (self.log_temperature.exp().detach() * log_probs - values).mean()

    def _update_policy(self) -> None:
        super()._update_policy()
        _step(self.temperature_adam, -(self.log_temperature * (self.log_probs + self.target_entropy)).mean())


def torch_dense(config: ExperimentConfig, spaces: Spaces, variant: Variant) -> TorchDense:
    return {"td3": TorchTD3, "sac": TorchSAC}[config.algo](config, spaces, variant)


def _as_it_is(function: Any) -> Any:
    return function


def _mlp(sizes: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _random_batch(spaces: Spaces, size: int) -> tuple[Tensor, ...]:
    """Observations, actions, rewards, next observations, and 1 where the episode ended."""
    observations, next_observations = torch.randn(2, size, spaces.observation_size)
    actions = torch.rand(size, spaces.action_size) * 2 - 1
    return observations, actions, torch.randn(size), next_observations, (torch.rand(size) < 0.01).float()


def _step(adam: torch.optim.Adam, loss: Tensor) -> None:
    adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    adam.step()


@torch.no_grad()
def _polyak(targets: Iterable[nn.Module], online: Iterable[nn.Module], tau: float) -> None:
    for slow, fast in zip(targets, online, strict=True):
        torch._foreach_lerp_(list(slow.parameters()), list(fast.parameters()), tau)
