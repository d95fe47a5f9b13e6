"""What TD3's and SAC's learners on the sparse engine share: models, optimizers, metrics, state in and out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rlx2_ray.agents.batches import FeatureMajor, feature_major
from rlx2_ray.agents.initial_models import initial_models
from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.sparse_adam import SparseAdam
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.kernels.denormals import flush_denormals
from rlx2_ray.kernels.optimizer import polyak_update
from rlx2_ray.networks.compiled_network import CompiledNetwork
from rlx2_ray.networks.policy import Policy, make_policy
from rlx2_ray.networks.sparse_layer import Arrays, Layers, from_arrays, to_arrays
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.seeding import generator_state, make_generator, restore_generator
from rlx2_ray.types import Batch, Floats, Spaces


class SparseLearner:
    """Subclasses say what one update is; this class holds what it works on."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces) -> None:
        flush_denormals()
        self.learner_steps = 0
        self._config = config
        self._spaces = spaces
        self._noise = make_generator(config.seed, "learner noise")
        self._topology = make_generator(config.seed, "topology")
        self._sums: dict[str, float] = {}  # of metrics since the last report
        self._counts: dict[str, int] = {}
        self._build(initial_models(config, spaces))

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

    @property
    def _models(self) -> dict[str, SparseModel]:
        return {"policy": self.policy, "critic": self.critic, "target_critic": self.target_critic}

    def update(self, batch: Batch) -> None:
        self.learner_steps += 1
        self._update(feature_major(batch))

    def _update(self, batch: FeatureMajor) -> None:
        raise NotImplementedError

    def metrics(self) -> dict[str, float]:
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return {
            **means,
            "topology/policy_overlap": self.policy_optimizer.evolution.overlap,
            "topology/critic_overlap": self.critic_optimizer.evolution.overlap,
        }

    def acting_policy(self) -> Policy:
        agent = self._config.agent
        network = CompiledNetwork(self.policy)
        return make_policy(self._config.algo, network, agent.exploration_noise, agent.exploration)

    def policy_layers(self) -> Layers:
        return self.policy.layers()

    def state(self) -> LearnerState:
        arrays: Arrays = {}
        for name, model in self._models.items():
            arrays |= to_arrays(model.layers(), name)
        policy_moments, policy_counters = self.policy_optimizer.state("policy")
        critic_moments, critic_counters = self.critic_optimizer.state("critic")
        values = {
            "learner_steps": self.learner_steps,
            "policy_optimizer": policy_counters,
            "critic_optimizer": critic_counters,
            "noise": generator_state(self._noise),
            "topology": generator_state(self._topology),
            "metric_sums": dict(self._sums),
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
        self._sums, self._counts = dict(values["metric_sums"]), dict(values["metric_counts"])

    def _draw_noise(self, *shape: int, scale: float = 1.0) -> Floats:
        """Normal noise, the batch as last axis."""
        noise: Floats = self._noise.standard_normal(shape, dtype=np.float32)
        return noise if scale == 1.0 else noise * np.float32(scale)

    def _note(self, **values: float) -> None:
        """Add to the running means of `train/*` metrics."""
        for name, value in values.items():
            key = f"train/{name}"
            self._sums[key] = self._sums.get(key, 0.0) + value
            self._counts[key] = self._counts.get(key, 0) + 1


def follow(target: SparseModel, online: SparseModel, tau: float) -> None:
    """One Polyak step, with which the target takes on the structure of the online model."""
    if target.masks is not online.masks:
        target.rewire(online.masks)
    polyak_update(target.kernel.parameters, online.kernel.parameters, tau)
