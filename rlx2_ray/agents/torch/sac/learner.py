"""SAC on the torch engine: sequences the losses of this folder. SAC has no target policy."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.torch.learner import TorchLearner, minimise
from rlx2_ray.agents.torch.sac.critic import target_q
from rlx2_ray.agents.torch.sac.policy import policy_loss
from rlx2_ray.agents.torch.sac.temperature import temperature_loss
from rlx2_ray.agents.torch.tensors import TensorBatch
from rlx2_ray.agents.torch.values import critic_loss
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import Spaces


class SACLearner(TorchLearner):
    def __init__(self, config: ExperimentConfig, spaces: Spaces, models: Mapping[str, Layers] | None = None) -> None:
        super().__init__(config, spaces, models)
        self._target_entropy = -float(spaces.action_size)
        start = math.log(config.agent.initial_temperature)
        self.log_temperature = torch.tensor(start, device=config.device, requires_grad=True)
        agent = config.agent
        self._temperature_adam = torch.optim.Adam([self.log_temperature], lr=agent.learning_rate, betas=agent.betas)
        self._set_moments({"step": 0.0, "exp_avg": 0.0, "exp_avg_sq": 0.0})

    def _update(self, batch: TensorBatch) -> None:
        agent = self._config.agent
        temperature = self.log_temperature.detach().exp()
        noise = self._draw_noise(*batch.next_observations.shape[:2], self._spaces.action_size)
        with torch.no_grad():
            constants = agent.discount, temperature, self._config.target.mean
            targets = target_q(batch, self.policy, self.target_critics, noise, *constants)
        loss, q_mean = critic_loss(self.critics, batch.observations, batch.actions, targets)
        minimise(loss, self.critic_optimizer, batch.observations, batch.actions)
        self._note(critic_loss=loss, q_mean=q_mean)
        if self.learner_steps % agent.policy_delay == 0:
            self._update_policy(batch, temperature)

    def _update_policy(self, batch: TensorBatch, temperature: torch.Tensor) -> None:
        noise = self._draw_noise(*batch.actions.shape)
        loss, log_probs = policy_loss(self.policy, self.critics, batch.observations, noise, temperature)
        minimise(loss, self.policy_optimizer, batch.observations)
        self._temperature_adam.zero_grad()
        temperature_loss(self.log_temperature, log_probs, self._target_entropy).backward()  # type: ignore[no-untyped-call]
        self._temperature_adam.step()
        self._note(policy_loss=loss, temperature=temperature, entropy=-log_probs.mean())
        self._follow_critic()

    def state(self) -> LearnerState:
        arrays, values = super().state()
        moments = self._temperature_adam.state[self.log_temperature]
        temperature = {"log": self.log_temperature.item()}
        temperature |= {name: float(moment) for name, moment in moments.items()}
        return LearnerState(arrays, {**values, "temperature": temperature})

    def restore(self, state: LearnerState) -> None:
        super().restore(state)
        saved = dict(state.values["temperature"])
        with torch.no_grad():
            self.log_temperature.fill_(saved.pop("log"))
        self._set_moments(saved)

    def _set_moments(self, moments: Mapping[str, float]) -> None:
        """The temperature's Adam state, by torch's names."""
        device = self._config.device
        self._temperature_adam.state[self.log_temperature] = {
            name: torch.tensor(value, device="cpu" if name == "step" else device)  # torch keeps the step on the CPU
            for name, value in moments.items()
        }
