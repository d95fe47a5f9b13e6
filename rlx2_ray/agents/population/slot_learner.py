"""The learner of one member: rows of a population's tensors, and on the host its counters and its structure.

State goes in and out in the form of every engine (`base_learner.py`), so that a member is an ordinary run: what it
began as, its topology events and its checkpoints are those of the other engines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import torch

from rlx2_ray.agents.base_learner import BaseLearner, Optimizer
from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.inputs import Inputs, inputs_by_layer
from rlx2_ray.agents.evolution.sums import GradientSums
from rlx2_ray.agents.learner import LearnerState, window_spec
from rlx2_ray.agents.population.adam import RESTING, Numbers, rates_at
from rlx2_ray.agents.population.population import METRICS, Constants, Population
from rlx2_ray.agents.population.shapes import Shapes, check_member
from rlx2_ray.agents.population.trained import Kind, TrainedStack
from rlx2_ray.config import AgentConfig, ExperimentConfig
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork
from rlx2_ray.networks.policy_reader import CLIP
from rlx2_ray.networks.policy_weights import AVERAGE
from rlx2_ray.networks.sparse_layer import Arrays, Layers
from rlx2_ray.sparse.plan import CRITICS
from rlx2_ray.types import BadInput, Batch, Bools, Floats, Spaces

FOLLOWED = {"target_critic": "critic", "target_policy": "policy", AVERAGE: "policy"}


class SlotOptimizer:
    """Counts the optimizer calls and steps of one model of a member."""

    def __init__(self, stack: TrainedStack, slot: int, masks: list[Bools], evolution: TopologyEvolution) -> None:
        self.evolution, self.steps, self.masks = evolution, 0, masks
        self._stack, self._slot = stack, slot
        self._sums = GradientSums(evolution, [mask.shape for mask in masks])

    def begin_call(self, agent: AgentConfig) -> Numbers:
        """Count a call; Adam's rates of it, those of rest where it is an event."""
        self.evolution.calls += 1
        if self.evolution.is_due:
            return RESTING
        self.steps += 1
        return rates_at(self.steps, agent.learning_rate, agent.betas)

    @property
    def reads_gradient(self) -> bool:
        """Whether this call is an event, or its gradient counts at the next."""
        return self.evolution.is_due or self._sums.is_due

    def read_gradient(self, inputs: Callable[[int], Floats]) -> None:
        """Do so, with the gradient that the stack has; `inputs` as `TopologyEvolution.rewire` asks for them."""
        gradients = self._stack.read_gradients(self._slot)
        if self.evolution.is_due:
            self._rewire(self._sums.take(gradients), inputs)
        else:
            self._sums.add(gradients)

    def _rewire(self, gradients: Sequence[Floats], inputs: Callable[[int], Floats]) -> None:
        weights = self._stack.read_stepped(self._slot)
        rewired = self.evolution.rewire(weights, self.masks, gradients, inputs)
        self.masks = list(rewired.masks)
        self._stack.rewire(self._slot, self.masks, rewired.weights, self.steps)

    def state(self, prefix: str) -> tuple[Arrays, dict[str, Any]]:
        arrays = self._stack.read_training(prefix, self._slot, self.masks, self.steps)
        arrays |= self._sums.arrays(prefix) | self.evolution.arrays(prefix)
        return arrays, {**self.evolution.counters(), "steps": self.steps}

    def restore(self, prefix: str, arrays: Mapping[str, Any], counters: Mapping[str, Any]) -> None:
        """The inverse of `state`, over layers that were already restored."""
        self.evolution.restore(prefix, arrays, counters)
        self._sums.restore(prefix, arrays)
        self.steps = int(counters["steps"])
        self._stack.write_training(prefix, self._slot, self.masks, self.steps, arrays)


class SlotLearner(BaseLearner):
    """Takes a free slot of a population, until `leave`."""

    def __init__(
        self,
        config: ExperimentConfig,
        spaces: Spaces,
        models: Mapping[str, Layers] | None,
        population: Population,
        slot: int,
    ) -> None:
        check_member(population.shapes, config, spaces)
        self.slot, self._population = slot, population
        self.normalizes, self.decays = config.agent.normalize_observations, config.agent.weight_decay > 0
        self.samples = config.target.samples
        self._window_until, self._window = 0, 1
        self._temperature_steps = 0
        population.seat(slot, self, _constants(config, spaces, population.shapes), config.seed)
        try:
            super().__init__(config, spaces, models)
        except BaseException:
            population.vacate(slot)
            raise
        population.log_temperature[slot] = math.log(config.agent.initial_temperature)
        population.replays.capacity[slot] = config.replay.max_capacity

    def leave(self) -> None:
        """Free the slot."""
        self._population.vacate(self.slot)

    def _build(self, layers: Mapping[str, Layers]) -> None:
        if self._population.normalized is not None:
            self._population.normalized[self.slot] = self._normalizes_critics
        stacks = self._population.stacks()
        models = {name: layers.get(name, layers[FOLLOWED.get(name, name)]) for name in self._names()}
        self.masks: dict[str, list[Bools]] = {}
        for name, found in models.items():
            if [layer.shape for layer in found] != list(stacks[name].row.shapes) * stacks[name].networks:
                raise BadInput(
                    f"{name} has other layers than network.hidden says, and members have equal shapes: set engine "
                    "sparse or torch."
                )
            stacks[name].write(self.slot, found)
            is_whole = self._targets_are_own and name.startswith("target_")
            self.masks[name] = [np.ones(layer.shape, np.bool_) if is_whole else layer.mask() for layer in found]
        self.policy_optimizer = self._optimizer("policy")
        self.critic_optimizer = self._optimizer("critic")

    def _optimizer(self, model: str) -> SlotOptimizer:
        stack = self._population.policy if model == "policy" else self._population.critic
        stack.seat(self.slot, self._kind(model), self.masks[model])
        return SlotOptimizer(stack, self.slot, self.masks[model], self._make_evolution(model))

    def _kind(self, model: str) -> Kind:
        config = self._config
        return Kind(config.agent.grown_steps == "own", self._rescales(model), config.sparsity.block)

    def _names(self) -> list[str]:
        """Those of its models; the population may have an average that this member has not."""
        return [name for name in self._population.stacks() if name != AVERAGE or self._averages]

    def _optimizers(self) -> dict[str, Optimizer]:
        return {"policy": self.policy_optimizer, "critic": self.critic_optimizer}

    def _layers(self) -> dict[str, Layers]:
        return {name: self.policy_layers(name) for name in self._names()}

    def policy_layers(self, model: str = "policy") -> Layers:
        return self._population.stacks()[model].read(self.slot, self.masks[model])

    def _network_of(self, model: str) -> DenseNetwork:
        """A copy, which stays what it is."""
        return DenseNetwork([DenseLayer(layer.scatter(), layer.bias) for layer in self.policy_layers(model)])

    def update(self, batch: Batch) -> NoReturn:
        raise TypeError("a population updates its members together")

    def next_window(self) -> int:
        """The steps that windows of the next update have at most."""
        if self.learner_steps >= self._window_until:
            spec = window_spec(self._config, self.learner_steps)
            self._window = spec.n_step
            self._window_until = 10**18 if spec.updates is None else self.learner_steps + spec.updates
        return self._window

    @property
    def policy_is_due(self) -> bool:
        """Whether the update that was begun is one of the policy as well."""
        return self.learner_steps % self._config.agent.policy_delay == 0

    def begin_update(self) -> list[float]:
        """Count an update; what is due in it, in the order of `population.Due` from `critic` on."""
        self.learner_steps += 1
        self._count("critic_loss", "q_mean")
        agent = self._config.agent
        rates = [*self.critic_optimizer.begin_call(agent)]
        if not self.policy_is_due:
            return [*rates, *RESTING, *RESTING, 0.0, 0.0, 0.0, 1.0, 0.0]
        self._count("policy_loss")
        rates += self.policy_optimizer.begin_call(agent)
        if self._config.algo == "sac":
            self._count("temperature", "entropy")
            self._temperature_steps += 1
            rates += rates_at(self._temperature_steps, agent.learning_rate, agent.betas)
        else:
            rates += RESTING
        average = self._average_rate if self._averages else 0.0
        return [*rates, 0.0 if self._has_expert else agent.tau, agent.tau, average, 1.0, 1.0]

    def reads_gradient(self, model: str) -> bool:
        return self._optimizer_of(model).reads_gradient

    def read_gradient(self, model: str, inputs: Inputs) -> None:
        optimizer, layers = self._optimizer_of(model), self.policy_layers(model)
        networks, is_normalized = (1, False) if model == "policy" else (CRITICS, self._normalizes_critics)
        optimizer.read_gradient(inputs_by_layer(layers, networks, inputs, is_normalized))
        self.masks[model] = optimizer.masks

    def _optimizer_of(self, model: str) -> SlotOptimizer:
        return self.policy_optimizer if model == "policy" else self.critic_optimizer

    def follows(self, name: str) -> bool:
        return name in self.masks and not (name == "target_critic" and self._has_expert)

    def follow_structure(self, name: str) -> None:
        """After a Polyak step: let what followed the model have its structure, or as many of its own weights."""
        stack, masks = self._population.stacks()[name], self.masks[FOLLOWED[name]]
        if self._targets_are_own and name != AVERAGE:
            stack.keep_largest(self.slot, [int(mask.sum()) for mask in masks])
        elif self.masks[name] is not masks:  # only an event makes new ones
            self.masks[name] = masks
            stack.clear_weights(self.slot, masks)

    def observe(self, moments: Any) -> None:
        super().observe(moments)
        self._write_normalization()

    def _write_normalization(self) -> None:
        if self._normalization is None:
            return
        constants = self._population.constants
        constants.mean[self.slot] = torch.from_numpy(self._normalization.mean)
        constants.scale[self.slot] = torch.from_numpy(self._normalization.scale)

    def _count(self, *names: str) -> None:
        for name in names:
            key = f"train/{name}"
            self._counts[key] = self._counts.get(key, 0) + 1

    def _take_sums(self) -> None:
        """Metrics since the last time, from the device."""
        sums = self._population.sums[self.slot]
        for name, value in zip(METRICS, sums.tolist(), strict=True):
            if (key := f"train/{name}") in self._counts:
                self._sums[key] = self._sums.get(key, 0.0) + value
        sums.zero_()

    def metrics(self) -> dict[str, float]:
        self._take_sums()
        return super().metrics()

    def state(self) -> LearnerState:
        self._take_sums()
        arrays, values = super().state()
        if self._config.algo == "sac":
            values = {**values, "temperature": self._temperature()}
        return LearnerState(arrays, values)

    def _temperature(self) -> dict[str, float]:
        population, slot = self._population, self.slot
        return {
            "log": float(population.log_temperature[slot]),
            "step": float(self._temperature_steps),
            "exp_avg": float(population.temperature_first[slot]),
            "exp_avg_sq": float(population.temperature_second[slot]),
        }

    def restore(self, state: LearnerState) -> None:
        super().restore(state)
        self._population.sums[self.slot] = 0
        self._window_until = 0
        self._write_normalization()
        if self._config.algo == "sac":
            population, slot, saved = self._population, self.slot, state.values["temperature"]
            population.log_temperature[slot] = saved["log"]
            population.temperature_first[slot] = saved["exp_avg"]
            population.temperature_second[slot] = saved["exp_avg_sq"]
            self._temperature_steps = int(saved["step"])


def _constants(config: ExperimentConfig, spaces: Spaces, shapes: Shapes) -> Constants:
    """Of one member, without the axis of slots."""
    agent = config.agent
    bound = CLIP if agent.normalize_observations else math.inf
    return Constants(
        torch.tensor([agent.discount**power for power in range(shapes.room.n_step + 1)]),
        torch.tensor(agent.weight_decay),
        torch.tensor(agent.target_policy_noise),
        torch.tensor(agent.target_noise_clip),
        torch.tensor(-float(spaces.action_size)),
        torch.zeros(spaces.observation_size),
        torch.ones(spaces.observation_size),
        torch.tensor([bound]),
        torch.tensor(config.target.mean),
        torch.tensor(config.target.beta),
        torch.tensor(config.target.samples),
    )
