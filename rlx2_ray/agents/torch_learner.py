"""What TD3's and SAC's learners on the torch engine share: networks, optimizers, metrics, state in and out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.agents.initial_models import initial_models
from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.tensors import TensorBatch, to_tensors
from rlx2_ray.agents.topology_adam import TopologyAdam
from rlx2_ray.agents.values import Critics
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.masked_mlp import MLP, make_mlp, to_sparse
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, Policy, make_policy
from rlx2_ray.networks.sparse_layer import Arrays, Layers, from_arrays, to_arrays
from rlx2_ray.seeding import generator_state, make_generator, restore_generator
from rlx2_ray.types import Batch, Floats, Spaces


class TorchLearner:
    """Subclasses say what one update is; this class holds what it works on.

    `critic` and `target_critic` are lists of the layers of both critics, one model for the optimizer and the topology;
    `critics` and `target_critics` are the two networks.
    """

    critics: Critics
    target_critics: Critics

    def __init__(self, config: ExperimentConfig, spaces: Spaces) -> None:
        _prepare_torch()
        self.learner_steps = 0
        self._config = config
        self._spaces = spaces
        self._noise = make_generator(config.seed, "learner noise")
        self._topology = make_generator(config.seed, "topology")
        self._sums: dict[str, Tensor] = {}  # of metrics since the last report
        self._counts: dict[str, int] = {}
        self._build(initial_models(config, spaces))

    @property
    def _models(self) -> dict[str, MLP]:
        return {"policy": self.policy, "critic": self.critic, "target_critic": self.target_critic}

    def update(self, batch: Batch) -> None:
        self.learner_steps += 1
        self._update(to_tensors(batch, self._config.device))

    def _update(self, batch: TensorBatch) -> None:
        raise NotImplementedError

    def metrics(self) -> dict[str, float]:
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return {
            **means,
            "topology/policy_overlap": self.policy_optimizer.evolution.overlap,
            "topology/critic_overlap": self.critic_optimizer.evolution.overlap,
        }

    def policy_layers(self) -> Layers:
        return to_sparse(self.policy)

    def acting_policy(self) -> Policy:
        agent = self._config.agent
        layers = [
            DenseLayer(layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy()) for layer in self.policy
        ]
        return make_policy(self._config.algo, DenseNetwork(layers), agent.exploration_noise, agent.exploration)

    def state(self) -> LearnerState:
        arrays: Arrays = {}
        for name, mlp in self._models.items():
            arrays |= to_arrays(to_sparse(mlp), name)
        policy_moments, policy_counters = self.policy_optimizer.state("policy")
        critic_moments, critic_counters = self.critic_optimizer.state("critic")
        values = {
            "learner_steps": self.learner_steps,
            "policy_optimizer": policy_counters,
            "critic_optimizer": critic_counters,
            "noise": generator_state(self._noise),
            "topology": generator_state(self._topology),
            "metric_sums": {name: float(total) for name, total in self._sums.items()},
            "metric_counts": dict(self._counts),
        }
        return LearnerState(arrays | policy_moments | critic_moments, values)

    def restore(self, state: LearnerState) -> None:
        arrays, values = state
        self._noise = restore_generator(values["noise"])
        self._topology = restore_generator(values["topology"])
        self._build({name: from_arrays(arrays, name) for name in self._models})
        self.policy_optimizer.restore("policy", arrays, values["policy_optimizer"])
        self.critic_optimizer.restore("critic", arrays, values["critic_optimizer"])
        self.learner_steps = values["learner_steps"]
        self._sums = {name: torch.tensor(total, dtype=torch.float64) for name, total in values["metric_sums"].items()}
        self._counts = dict(values["metric_counts"])

    def _build(self, layers: dict[str, Layers]) -> None:
        config, device = self._config, self._config.device
        self.policy = make_mlp(layers["policy"], device, trainable=True)
        self.critic = make_mlp(layers["critic"], device, trainable=True)
        self.target_critic = make_mlp(layers["target_critic"], device, trainable=False)
        self.critics, self.target_critics = _halves(self.critic), _halves(self.target_critic)
        delay = config.agent.policy_delay
        self.policy_optimizer = TopologyAdam(self.policy, config, delay, self._topology)
        self.critic_optimizer = TopologyAdam(self.critic, config, 1, self._topology)

    def _draw_noise(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Normal noise from a generator that is part of the state; `torch.Generator`s differ between devices.

        Drawn with the axes in reverse order, which is how the sparse engine reads it.
        """
        noise: Floats = self._noise.standard_normal(shape[::-1], dtype=np.float32) * np.float32(scale)
        return torch.from_numpy(noise.T).to(self._config.device)

    def _note(self, **values: Tensor) -> None:
        """Add to the running means of `train/*` metrics."""
        for name, value in values.items():
            key = f"train/{name}"
            self._sums[key] = self._sums.get(key, torch.zeros(())) + value.detach().cpu().double()
            self._counts[key] = self._counts.get(key, 0) + 1


def minimise(loss: Tensor, optimizer: TopologyAdam) -> None:
    """One optimizer call. Only the gradients of the optimizer's own parameters are computed."""
    optimizer.step(torch.autograd.grad(loss, optimizer.parameters))


def _halves(layers: MLP) -> Critics:
    middle = len(layers) // 2
    return layers[:middle], layers[middle:]


def _prepare_torch() -> None:
    """One thread: parallelism is across runs. Denormal moments cost much time and mean nothing."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
