"""What TD3's and SAC's learners on the torch engine share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.agents.base_learner import BaseLearner, Optimizer
from rlx2_ray.agents.torch.tensors import TensorBatch, to_tensors
from rlx2_ray.agents.torch.topology_adam import TopologyAdam
from rlx2_ray.agents.torch.values import Critics
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.masked_mlp import (
    MLP,
    MaskedLinear,
    make_mlp,
    polyak_update,
    polyak_update_pruned,
    to_sparse,
)
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork
from rlx2_ray.networks.policy_weights import AVERAGE
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.types import Batch, Floats, Spaces


class TorchLearner(BaseLearner):
    """Subclasses say what one update is; this class holds what it works on.

    `critic` and `target_critic` are lists of the layers of both critics, one model for the optimizer and the topology;
    `critics` and `target_critics` are the two networks.
    """

    critics: Critics
    target_critics: Critics

    def __init__(self, config: ExperimentConfig, spaces: Spaces, models: Mapping[str, Layers] | None = None) -> None:
        _prepare_torch()
        super().__init__(config, spaces, models)

    def _build(self, layers: Mapping[str, Layers]) -> None:
        device = self._config.device
        self.policy = make_mlp(layers["policy"], device, trainable=True)
        self.critic = make_mlp(layers["critic"], device, trainable=True, normalized=self._normalizes_critics)
        self.target_critic = self._target(layers["target_critic"], normalized=self._normalizes_critics)
        self.critics, self.target_critics = _halves(self.critic), _halves(self.target_critic)
        average = layers.get(AVERAGE, layers["policy"])
        self._averaged = {AVERAGE: make_mlp(average, device, trainable=False)} if self._averages else {}
        self.policy_optimizer = self._optimizer("policy", self.policy)
        self.critic_optimizer = self._optimizer("critic", self.critic, networks=2)

    def _optimizer(self, name: str, mlp: MLP, networks: int = 1) -> TopologyAdam:
        block = self._config.sparsity.block
        return TopologyAdam(mlp, self._config.agent, self._make_evolution(name), networks, self._rescales(name), block)

    def _target(self, layers: Layers, normalized: bool = False) -> list[MaskedLinear]:
        target = make_mlp(layers, self._config.device, trainable=False, normalized=normalized)
        if self._targets_are_own:
            for layer in target:
                layer.set_mask(torch.ones_like(layer.mask))
        return target

    def _follow_critic(self) -> None:
        if not self._has_expert:
            self._follow(self.target_critic, self.critic)

    def _follow(self, target: MLP, online: MLP) -> None:
        """One Polyak step."""
        (polyak_update_pruned if self._targets_are_own else polyak_update)(target, online, self._config.agent.tau)
        (self.policy_optimizer if online is self.policy else self.critic_optimizer).hold_groups(target)

    def _optimizers(self) -> dict[str, Optimizer]:
        return {"policy": self.policy_optimizer, "critic": self.critic_optimizer}

    def _models(self) -> dict[str, MLP]:
        return {"policy": self.policy, "critic": self.critic, "target_critic": self.target_critic, **self._averaged}

    def _layers(self) -> dict[str, Layers]:
        return {name: to_sparse(mlp) for name, mlp in self._models().items()}

    def update(self, batch: Batch) -> None:
        self.learner_steps += 1
        self._update(to_tensors(self._normalized(batch), self._config.device))
        if self._average_is_due:
            polyak_update(self._averaged[AVERAGE], self.policy, self._average_rate)
            self.policy_optimizer.hold_groups(self._averaged[AVERAGE])

    def _update(self, batch: TensorBatch) -> None:
        raise NotImplementedError

    def policy_layers(self, model: str = "policy") -> Layers:
        return to_sparse(self._models()[model])

    def _network_of(self, model: str) -> DenseNetwork:
        return DenseNetwork(
            [
                DenseLayer(layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy())
                for layer in self._models()[model]
            ]
        )

    def _draw_noise(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Normal noise from a generator that is part of the state; `torch.Generator`s differ between devices.

        Drawn with the axes in reverse order, which is how the sparse engine reads it.
        """
        noise: Floats = self._noise.standard_normal(shape[::-1], dtype=np.float32) * np.float32(scale)
        return torch.from_numpy(noise.T).to(self._config.device)

    def _note(self, **values: Tensor) -> None:
        super()._note(**{name: value.detach().double() for name, value in values.items()})


def minimise(loss: Tensor, optimizer: TopologyAdam, *inputs: Tensor) -> None:
    """Make one optimizer call. Only the gradients of the optimizer's own parameters are computed.

    `inputs`: (B, size) each, which together are those of the optimizer's networks.
    """
    gradients = torch.autograd.grad(loss, optimizer.parameters)
    optimizer.step(gradients, lambda: torch.cat(inputs, dim=1).T.cpu().numpy())


def _halves(layers: MLP) -> Critics:
    middle = len(layers) // 2
    return layers[:middle], layers[middle:]


def _prepare_torch() -> None:
    """One thread: parallelism is across runs. Denormal moments cost much time and mean nothing."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
