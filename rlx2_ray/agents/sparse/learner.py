"""What TD3's and SAC's learners on the sparse engine share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rlx2_ray.agents.base_learner import BaseLearner, Optimizer
from rlx2_ray.agents.sparse.adam import SparseAdam
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.kernels.denormals import flush_denormals
from rlx2_ray.kernels.optimizer import polyak_update
from rlx2_ray.networks.compiled_network import CompiledNetwork
from rlx2_ray.networks.policy_weights import AVERAGE
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.networks.sparse_model import SparseModel, move
from rlx2_ray.sparse.targets import polyak_pruned
from rlx2_ray.types import Batch, Floats, Spaces


class SparseLearner(BaseLearner):
    """Subclasses say what one update is; this class holds what it works on."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces, models: Mapping[str, Layers] | None = None) -> None:
        flush_denormals()
        super().__init__(config, spaces, models)

    def _build(self, layers: Mapping[str, Layers]) -> None:
        self.policy = self._model(layers["policy"])
        self.critic = self._model(layers["critic"], critics=True)
        self.target_critic = self._target(layers["target_critic"], self.critic, critics=True)
        self._averaged = {AVERAGE: self._model(layers.get(AVERAGE, layers["policy"]))} if self._averages else {}
        self.policy_optimizer = self._optimizer("policy", self.policy)
        self.critic_optimizer = self._optimizer("critic", self.critic)

    def _optimizer(self, name: str, model: SparseModel) -> SparseAdam:
        block = self._config.sparsity.block
        return SparseAdam(model, self._config.agent, self._make_evolution(name), self._rescales(name), block)

    def _model(self, layers: Layers, critics: bool = False, like: SparseModel | None = None) -> SparseModel:
        """Of the inputs only actions get gradients. `like`: a model to share the workspace with."""
        workspace = like.kernel.workspace if like else None
        normalized = critics and self._normalizes_critics
        return SparseModel(layers, 2 if critics else 1, self._spaces.observation_size, workspace, normalized)

    def _target(self, layers: Layers, online: SparseModel, critics: bool = False) -> SparseModel:
        """Of the shapes of the online model, or of an expert's."""
        if self._targets_are_own:
            layers = move(layers, [np.ones(layer.shape, np.bool_) for layer in layers])
        is_alike = [layer.shape for layer in layers] == [mask.shape for mask in online.masks]
        return self._model(layers, critics, like=online if is_alike else None)

    def _follow_critic(self) -> None:
        if not self._has_expert:
            self._follow(self.target_critic, self.critic)

    def _follow(self, target: SparseModel, online: SparseModel) -> None:
        """One Polyak step."""
        (follow_pruned if self._targets_are_own else follow)(target, online, self._config.agent.tau)

    def _optimizers(self) -> dict[str, Optimizer]:
        return {"policy": self.policy_optimizer, "critic": self.critic_optimizer}

    def _models(self) -> dict[str, SparseModel]:
        return {"policy": self.policy, "critic": self.critic, "target_critic": self.target_critic, **self._averaged}

    def _layers(self) -> dict[str, Layers]:
        return {name: model.layers() for name, model in self._models().items()}

    def update(self, batch: Batch) -> None:
        self.learner_steps += 1
        self._update(self._normalized(batch))
        if self._average_is_due:
            follow(self._averaged[AVERAGE], self.policy, self._average_rate)

    def _update(self, batch: Batch) -> None:
        raise NotImplementedError

    def _network_of(self, model: str) -> CompiledNetwork:
        return CompiledNetwork(self._models()[model])

    def policy_layers(self, model: str = "policy") -> Layers:
        return self._models()[model].layers()

    def _draw_noise(self, *shape: int, scale: float = 1.0) -> Floats:
        """Normal noise, the batch as last axis."""
        noise: Floats = self._noise.standard_normal(shape, dtype=np.float32)
        return noise if scale == 1.0 else noise * np.float32(scale)


def critic_inputs(batch: Batch) -> Floats:
    return np.concatenate([batch.observations, batch.actions])


def follow(target: SparseModel, online: SparseModel, tau: float) -> None:
    """Make one Polyak step, with which the target takes on the structure of the online model."""
    if target.masks is not online.masks:
        target.rewire(online.masks)
    polyak_update(target.kernel.parameters, online.kernel.parameters, tau)


def follow_pruned(target: SparseModel, online: SparseModel, tau: float) -> None:
    """Make one Polyak step of a target that holds every weight, of which as many as in the online model are not 0.

    In each layer these are its own largest: `sparse/targets.py`.
    """
    layers = [
        slow._replace(
            weights=polyak_pruned(slow.weights, fast.scatter().ravel(), tau, len(fast.indices)),
            bias=slow.bias + np.float32(tau) * (fast.bias - slow.bias),
        )
        for slow, fast in zip(target.layers(), online.layers(), strict=True)
    ]
    target.kernel.parameters[:] = target.join(tuple(layers))
