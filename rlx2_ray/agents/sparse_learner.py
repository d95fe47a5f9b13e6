"""What TD3's and SAC's learners on the sparse engine share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rlx2_ray.agents.base_learner import BaseLearner, Optimizer
from rlx2_ray.agents.batches import FeatureMajor, feature_major
from rlx2_ray.agents.sparse_adam import SparseAdam
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.kernels.denormals import flush_denormals
from rlx2_ray.kernels.optimizer import polyak_update
from rlx2_ray.networks.compiled_network import CompiledNetwork
from rlx2_ray.networks.policy import Policy, make_policy
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Batch, Floats, Spaces


class SparseLearner(BaseLearner):
    """Subclasses say what one update is; this class holds what it works on."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces) -> None:
        flush_denormals()
        super().__init__(config, spaces)

    def _build(self, layers: Mapping[str, Layers]) -> None:
        config = self._config
        self.policy = self._model(layers["policy"])
        self.critic = self._model(layers["critic"], networks=2)
        self.target_critic = self._model(layers["target_critic"], networks=2, like=self.critic)
        self.policy_optimizer = SparseAdam(self.policy, config, config.agent.policy_delay, self._topology)
        self.critic_optimizer = SparseAdam(self.critic, config, 1, self._topology)

    def _model(self, layers: Layers, networks: int = 1, like: SparseModel | None = None) -> SparseModel:
        """Of the inputs only actions get gradients. `like`: a model to share the workspace with."""
        workspace = like.kernel.workspace if like else None
        return SparseModel(layers, networks, self._spaces.observation_size, workspace)

    def _optimizers(self) -> dict[str, Optimizer]:
        return {"policy": self.policy_optimizer, "critic": self.critic_optimizer}

    def _models(self) -> dict[str, SparseModel]:
        return {"policy": self.policy, "critic": self.critic, "target_critic": self.target_critic}

    def _layers(self) -> dict[str, Layers]:
        return {name: model.layers() for name, model in self._models().items()}

    def update(self, batch: Batch) -> None:
        self.learner_steps += 1
        self._update(feature_major(batch))

    def _update(self, batch: FeatureMajor) -> None:
        raise NotImplementedError

    def acting_policy(self) -> Policy:
        agent = self._config.agent
        network = CompiledNetwork(self.policy)
        return make_policy(self._config.algo, network, agent.exploration_noise, agent.exploration)

    def policy_layers(self) -> Layers:
        return self.policy.layers()

    def _draw_noise(self, *shape: int, scale: float = 1.0) -> Floats:
        """Normal noise, the batch as last axis."""
        noise: Floats = self._noise.standard_normal(shape, dtype=np.float32)
        return noise if scale == 1.0 else noise * np.float32(scale)


def follow(target: SparseModel, online: SparseModel, tau: float) -> None:
    """One Polyak step, with which the target takes on the structure of the online model."""
    if target.masks is not online.masks:
        target.rewire(online.masks)
    polyak_update(target.kernel.parameters, online.kernel.parameters, tau)
