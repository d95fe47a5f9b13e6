"""What learners of every engine share: a fresh start, metrics, and state in and out in a form free of engines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.make import make_evolution
from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.returns import RETURNS, Returns
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.networks.initial import fresh_layers, initial_layers
from rlx2_ray.networks.moments import STATE, Moments, moments_of_state
from rlx2_ray.networks.policy import (
    ActingPolicy,
    Network,
    NoiseFreePolicy,
    NormalizedNetwork,
    make_acting_policy,
    make_evaluation_policy,
)
from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.networks.policy_weights import AVERAGE, PolicyWeights
from rlx2_ray.networks.rescaling import rescaled
from rlx2_ray.networks.sparse_layer import Arrays, Layers, from_arrays, to_arrays
from rlx2_ray.seeding import generator_state, make_generator, restore_generator
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import Batch, Floats, Spaces


class Optimizer(Protocol):
    """The optimizer of one model, the policy or both critics."""

    @property
    def evolution(self) -> TopologyEvolution: ...

    def state(self, prefix: str) -> tuple[Arrays, dict[str, Any]]: ...

    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None: ...


class BaseLearner:
    """The part of a learner that no engine has for itself.

    Models go by name: "policy", "critic" (both of them), "target_critic", TD3's "target_policy", and, where
    `policy.average` is set, "average_policy", which begins as the policy does.
    """

    def __init__(self, config: ExperimentConfig, spaces: Spaces, models: Mapping[str, Layers] | None = None) -> None:
        """`models` are those that it begins with instead of fresh ones, by name."""
        self.learner_steps = 0
        self.returns = Returns()
        self._config = config
        self._spaces = spaces
        self._plan = plan_agent(config, spaces.observation_size, spaces.action_size)._asdict()
        self._noise = make_generator(config.seed, "learner noise")
        self._topology = make_generator(config.seed, "topology")
        self.observed = Moments.none(spaces.observation_size)
        self._sums: dict[str, Any] = {}  # of metrics since the last report
        self._counts: dict[str, int] = {}
        layers = initial_models(config, spaces) | dict(models or {})
        self._build({name: rescaled(each) if self._begins_rescaled(name) else each for name, each in layers.items()})

    def _build(self, layers: Mapping[str, Layers]) -> None:
        """Make the models, and optimizers that have not stepped yet."""
        raise NotImplementedError

    def _make_evolution(self, model: str) -> TopologyEvolution:
        config, plan = self._config, self._plan[model]

        def fresh() -> list[Floats]:
            return [layer.weights for layer in fresh_layers(plan, config, make_generator(config.seed, model))]

        interval = config.agent.policy_delay if model == "policy" else 1
        of_units = config.sparsity.fan_in == "constant"
        holds = (lambda: self.returns.hold(config.topology.hold)) if config.topology.hold else None
        return make_evolution(config.topology, plan, interval, self._topology, fresh, of_units, holds)

    @property
    def _has_expert(self) -> bool:
        """Whether the target critics are those of a finished run, and stay what they are."""
        return self._config.target.expert is not None

    @property
    def _targets_are_own(self) -> bool:
        """Whether targets have a structure of their own, and so hold every weight (`sparse/targets.py`)."""
        return self._config.topology.target_mask == "own"

    def _rescales(self, model: str) -> bool:
        """Whether the weights of the policy, or of the critics, are rescaled."""
        return self._config.network.rescaled in (model, "both")

    def _begins_rescaled(self, model: str) -> bool:
        """The same of any model; an expert's critics stay what they are."""
        is_expert = model == "target_critic" and self._has_expert
        return self._rescales(model.removeprefix("target_")) and not is_expert

    @property
    def _normalizes_critics(self) -> bool:
        """Whether the critics' hidden layers are normalised."""
        return self._config.network.critic_norm == "layer"

    def _optimizers(self) -> dict[str, Optimizer]:
        """Returns the optimizers by the name of their model."""
        raise NotImplementedError

    def _layers(self) -> dict[str, Layers]:
        """Returns copies of all models by name."""
        raise NotImplementedError

    def _network_of(self, model: str) -> Network:
        """A policy's network for acting, which on the CPU stays current by itself."""
        raise NotImplementedError

    def policy_layers(self, model: str = "policy") -> Layers:
        """Returns a copy of a policy's layers."""
        raise NotImplementedError

    def policy_weights(self) -> PolicyWeights:
        return PolicyWeights(self.policy_layers(), self._normalization)

    def evaluated_weights(self) -> PolicyWeights:
        return PolicyWeights(self.policy_layers(self._evaluated), self._normalization)

    def acting_policy(self) -> ActingPolicy:
        return make_acting_policy(self._config, self._network("policy"))

    def evaluated_policy(self) -> NoiseFreePolicy:
        return make_evaluation_policy(self._config.algo, self._network(self._evaluated))

    @property
    def _evaluated(self) -> str:
        """Which model is evaluated."""
        return AVERAGE if self._averages else "policy"

    @property
    def _averages(self) -> bool:
        """Whether a moving average of the policy is evaluated in its place."""
        return self._config.policy.average > 0

    @property
    def _average_is_due(self) -> bool:
        """Whether the policy has just been updated."""
        return self._averages and self.learner_steps % self._config.agent.policy_delay == 0

    @property
    def _average_rate(self) -> float:
        """What the average takes on of the policy at each of its updates, so many env steps apart."""
        agent = self._config.agent
        apart = agent.policy_delay / agent.updates_per_env_step
        return -math.expm1(-apart / self._config.policy.average)

    def _network(self, model: str) -> Network:
        """A policy's, which normalises by the newest statistics."""
        network = self._network_of(model)
        return NormalizedNetwork(network, self._normalize) if self._normalizes else network

    @property
    def _normalizes(self) -> bool:
        return self._config.agent.normalize_observations

    @property
    def observed(self) -> Moments:
        return self._observed

    @observed.setter
    def observed(self, moments: Moments) -> None:
        self._observed = moments
        self._normalization = moments.normalization() if self._normalizes else None

    def observe(self, moments: Moments) -> None:
        self.observed = self.observed.joined(moments)

    def _normalize(self, observations: Floats) -> Floats:
        return observations if self._normalization is None else self._normalization.apply(observations)

    def _normalized(self, batch: Batch) -> Batch:
        """The batch of an update as the networks see it: old transitions, too, by the newest statistics."""
        if self._normalization is None:
            return batch
        columns = Normalization(*(each[:, np.newaxis] for each in self._normalization))
        return batch._replace(
            observations=columns.apply(batch.observations), next_observations=columns.apply(batch.next_observations)
        )

    def metrics(self) -> dict[str, float]:
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means | self._overlaps() | self._pruned()

    def _overlaps(self) -> dict[str, float]:
        """Returns the overlap of each model, and of each of its layers once there was an event."""
        overlaps = {}
        for name, optimizer in self._optimizers().items():
            evolution = optimizer.evolution
            overlaps[name] = evolution.overlap
            layers = [layer.name for layer in self._plan[name].layers]
            overlaps |= dict(zip(layers, evolution.layer_overlaps, strict=False))
        return {f"topology/{name}_overlap": overlap for name, overlap in overlaps.items()}

    def _pruned(self) -> dict[str, float]:
        """Returns how far each model is with its pruning, where that goes by the return."""
        found = {name: optimizer.evolution.pruned for name, optimizer in self._optimizers().items()}
        return {f"topology/{name}_pruned": pruned for name, pruned in found.items() if pruned is not None}

    def _note(self, **values: Any) -> None:
        """Add to the running means of `train/*` metrics."""
        for name, value in values.items():
            key = f"train/{name}"
            self._sums[key] = self._sums.get(key, 0.0) + value
            self._counts[key] = self._counts.get(key, 0) + 1

    def state(self) -> LearnerState:
        arrays: Arrays = {}
        values: dict[str, Any] = {
            "learner_steps": self.learner_steps,
            "noise": generator_state(self._noise),
            "topology": generator_state(self._topology),
            "metric_sums": {name: float(total) for name, total in self._sums.items()},
            "metric_counts": dict(self._counts),
        }
        if self._config.topology.hold:
            values[RETURNS] = self.returns.values()
        if self._normalizes:
            arrays |= self.observed.arrays()
            values[STATE] = self.observed.number
        for name, layers in self._layers().items():
            arrays |= to_arrays(layers, name)
        for name, optimizer in self._optimizers().items():
            moments, values[f"{name}_optimizer"] = optimizer.state(name)
            arrays |= moments
        return LearnerState(arrays, values)

    def restore(self, state: LearnerState) -> None:
        arrays, values = state
        self.observed = moments_of_state(arrays, values) or self.observed
        self.returns = Returns.of(values[RETURNS]) if RETURNS in values else self.returns
        self._noise = restore_generator(values["noise"])
        self._topology = restore_generator(values["topology"])
        self._build({name: from_arrays(arrays, name) for name in self._layers()})
        for name, optimizer in self._optimizers().items():
            optimizer.restore(name, arrays, values[f"{name}_optimizer"])
        self.learner_steps = values["learner_steps"]
        self._sums, self._counts = dict(values["metric_sums"]), dict(values["metric_counts"])


def initial_models(config: ExperimentConfig, spaces: Spaces) -> dict[str, Layers]:
    """Fresh models; targets start as copies."""
    plan = plan_agent(config, spaces.observation_size, spaces.action_size)
    policy = initial_layers(plan.policy, config, make_generator(config.seed, "policy"))
    critic = initial_layers(plan.critic, config, make_generator(config.seed, "critic"))
    return {"policy": policy, "critic": critic, "target_policy": policy, "target_critic": critic}
