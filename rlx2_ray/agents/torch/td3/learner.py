"""TD3 on the torch engine: sequences the losses of this folder."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from rlx2_ray.agents.torch.learner import TorchLearner, minimise
from rlx2_ray.agents.torch.td3.critic import target_q
from rlx2_ray.agents.torch.td3.policy import policy_loss
from rlx2_ray.agents.torch.tensors import TensorBatch
from rlx2_ray.agents.torch.values import critic_loss
from rlx2_ray.networks.masked_mlp import MLP
from rlx2_ray.networks.sparse_layer import Layers


class TD3Learner(TorchLearner):
    def _build(self, layers: Mapping[str, Layers]) -> None:
        super()._build(layers)
        self.target_policy = self._target(layers["target_policy"])

    def _models(self) -> dict[str, MLP]:
        return {**super()._models(), "target_policy": self.target_policy}

    def _update(self, batch: TensorBatch) -> None:
        agent, target = self._config.agent, self._config.target
        size, actions = batch.actions.shape
        noise = self._draw_noise(size, target.samples, actions, scale=agent.target_policy_noise)
        constants = agent.discount, agent.target_noise_clip, target.mean, target.beta
        with torch.no_grad():
            targets = target_q(batch, self.target_policy, self.target_critics, noise, *constants)
        loss, q_mean = critic_loss(self.critics, batch.observations, batch.actions, targets)
        minimise(loss, self.critic_optimizer, batch.observations, batch.actions)
        self._note(critic_loss=loss, q_mean=q_mean)
        if self.learner_steps % agent.policy_delay == 0:
            self._update_policy(batch)

    def _update_policy(self, batch: TensorBatch) -> None:
        loss = policy_loss(self.policy, self.critics[0], batch.observations)
        minimise(loss, self.policy_optimizer, batch.observations)
        self._note(policy_loss=loss)
        self._follow_critic()
        self._follow(self.target_policy, self.policy)
