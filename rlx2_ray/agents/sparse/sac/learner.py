"""SAC on the sparse engine. SAC has no target policy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.sparse.learner import SparseLearner, critic_inputs
from rlx2_ray.agents.sparse.sac.update import critic_gradient, policy_gradient
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.kernels.optimizer import Moments, adam_step
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import Batch, Spaces


class SparseSACLearner(SparseLearner):
    def __init__(self, config: ExperimentConfig, spaces: Spaces, models: Mapping[str, Layers] | None = None) -> None:
        super().__init__(config, spaces, models)
        self._target_entropy = -float(spaces.action_size)
        self.log_temperature = np.array([math.log(config.agent.initial_temperature)], np.float32)
        self._temperature_moments = Moments(np.zeros(1, np.float32), np.zeros(1, np.float32))
        self._temperature_steps = 0

    def _update(self, batch: Batch) -> None:
        temperature = np.exp(self.log_temperature[0])
        noise = self._draw_noise(len(batch.actions), len(batch.next_observations), len(batch.lengths))
        policy, target = self.policy.kernel, self.target_critic.kernel
        constants = self._config.agent.discount, temperature, self._config.target.mean
        loss, q_mean = self.critic_optimizer.call(
            lambda critic: critic_gradient(critic, policy, target, batch, noise, *constants),
            lambda: critic_inputs(batch),
        )
        self._note(critic_loss=loss, q_mean=q_mean)
        if self.learner_steps % self._config.agent.policy_delay == 0:
            self._update_policy(batch, temperature)

    def _update_policy(self, batch: Batch, temperature: np.float32) -> None:
        noise = self._draw_noise(len(batch.actions), 1, len(batch.lengths))
        loss, log_prob = self.policy_optimizer.call(
            lambda policy: policy_gradient(policy, self.critic.kernel, batch, noise, temperature),
            lambda: batch.observations,
        )
        self._update_temperature(log_prob)
        self._note(policy_loss=loss, temperature=float(temperature), entropy=-log_prob)
        self._follow_critic()

    def _update_temperature(self, log_prob: float) -> None:
        """A step down the gradient by log(alpha) of -log(alpha) * mean(log pi + target entropy)."""
        gradient = np.array([-(log_prob + self._target_entropy)], np.float32)
        self._temperature_steps += 1
        agent, moments = self._config.agent, self._temperature_moments
        rates = agent.learning_rate, 0.0, *agent.betas
        adam_step(self.log_temperature, gradient, moments, self._temperature_steps, *rates)

    def state(self) -> LearnerState:
        arrays, values = super().state()
        temperature = {
            "log": float(self.log_temperature[0]),
            "step": float(self._temperature_steps),
            "exp_avg": float(self._temperature_moments.first[0]),
            "exp_avg_sq": float(self._temperature_moments.second[0]),
        }
        return LearnerState(arrays, {**values, "temperature": temperature})

    def restore(self, state: LearnerState) -> None:
        super().restore(state)
        saved = state.values["temperature"]
        self.log_temperature[0] = saved["log"]
        self._temperature_steps = int(saved["step"])
        self._temperature_moments.first[0] = saved["exp_avg"]
        self._temperature_moments.second[0] = saved["exp_avg_sq"]
