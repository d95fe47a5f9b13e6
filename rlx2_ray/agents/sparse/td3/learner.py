"""TD3 on the sparse engine."""

from __future__ import annotations

from collections.abc import Mapping

from rlx2_ray.agents.sparse.learner import SparseLearner, critic_inputs
from rlx2_ray.agents.sparse.td3.update import Target, critic_gradient, policy_gradient
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Batch


class SparseTD3Learner(SparseLearner):
    def _build(self, layers: Mapping[str, Layers]) -> None:
        super()._build(layers)
        self.target_policy = self._target(layers["target_policy"], self.policy)

    def _models(self) -> dict[str, SparseModel]:
        return {**super()._models(), "target_policy": self.target_policy}

    def _update(self, batch: Batch) -> None:
        agent, target = self._config.agent, self._config.target
        actions, size = batch.actions.shape
        noise = self._draw_noise(actions, target.samples, size, scale=agent.target_policy_noise)
        constants = Target(agent.discount, agent.target_noise_clip, target.mean, target.beta)
        targets = self.target_policy.kernel, self.target_critic.kernel
        loss, q_mean = self.critic_optimizer.call(
            lambda critic: critic_gradient(critic, *targets, batch, noise, constants),
            lambda: critic_inputs(batch),
        )
        self._note(critic_loss=loss, q_mean=q_mean)
        if self.learner_steps % agent.policy_delay == 0:
            self._update_policy(batch)

    def _update_policy(self, batch: Batch) -> None:
        loss = self.policy_optimizer.call(
            lambda policy: policy_gradient(policy, self.critic.kernel, batch), lambda: batch.observations
        )
        self._note(policy_loss=loss)
        self._follow_critic()
        self._follow(self.target_policy, self.policy)
