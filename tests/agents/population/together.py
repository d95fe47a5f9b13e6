"""A population beside a learner of another engine for each of its members, all with the same batches and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import LearnerState, window_spec
from rlx2_ray.agents.population.population import Noise, Population
from rlx2_ray.agents.population.shapes import shapes_of_all
from rlx2_ray.agents.population.slot_learner import SlotLearner
from rlx2_ray.agents.population.windows import Windows
from rlx2_ray.config import ExperimentConfig, merge, resolve
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.seeding import restore_generator
from rlx2_ray.types import Batch, Spaces
from tests.agents.small import SPACES, random_batch

SIZE = 24  # of a batch


def with_engine(config: ExperimentConfig, engine: str) -> ExperimentConfig:
    return resolve(merge(config.model_dump(), {"engine": engine}))


def make_population(
    configs: Sequence[ExperimentConfig], spaces: Spaces = SPACES, slots: int | None = None, rows: int = 64
) -> tuple[Population, list[SlotLearner]]:
    population = Population(shapes_of_all(configs, spaces), slots or len(configs), rows)
    return population, [SlotLearner(each, spaces, None, population, slot) for slot, each in enumerate(configs)]


class Together:
    def __init__(self, configs: Sequence[ExperimentConfig], engine: str, models: Mapping[str, Layers] | None = None):
        self.population = Population(shapes_of_all(configs, SPACES), len(configs), 8)
        self.members = [SlotLearner(each, SPACES, models, self.population, slot) for slot, each in enumerate(configs)]
        self.others = [make_learner(with_engine(each, engine), SPACES, models) for each in configs]
        self._random = np.random.default_rng(0)

    def warm_up(self, updates: Sequence[int]) -> list[LearnerState]:
        """Let each other learner train for so long; the members go on from its state."""
        states = []
        for member, other, count in zip(self.members, self.others, updates, strict=True):
            for _ in range(count):
                other.update(self._batch(member))
            other.metrics()
            states.append(other.state())
            member.restore(states[-1])
        return states

    def update(self, which: Sequence[int]) -> None:
        """One update of some members, and the same of the learners beside them."""
        shapes, slots = self.population.shapes, self.population.slots
        batches = [self._batch(member) for member in self.members]
        noise = [self._noise(slot, batches[slot]) for slot in range(slots)]
        of_all = Windows(*(torch.from_numpy(np.stack(each)) for each in zip(*map(self._padded, batches), strict=True)))
        targets = torch.from_numpy(np.stack([each[0] for each in noise]))
        policies = torch.from_numpy(np.stack([each[1] for each in noise])) if shapes.algo == "sac" else None
        self.population.update_with([self.members[slot] for slot in which], of_all, Noise(targets, policies))
        for slot in which:
            self.others[slot].update(batches[slot])

    def _batch(self, member: SlotLearner) -> Batch:
        spec = window_spec(member._config, member.learner_steps)
        return random_batch(self._random, SIZE, spec.n_step, spec.every_step)

    def _padded(self, batch: Batch) -> Windows:
        """With windows as long as the population's, in its order of axes."""
        longest = self.population.shapes.room.n_step
        observations, actions, rewards, nexts, lengths, terminated = (np.moveaxis(each, -1, 0) for each in batch)
        missing = longest - rewards.shape[1]
        rewards = np.pad(rewards, ((0, 0), (0, missing)))
        if self.population.shapes.every_step:
            nexts = np.concatenate([nexts, *[nexts[:, -1:]] * missing], 1)
        parts: list[Any] = [observations, actions, rewards, nexts, lengths, terminated]
        return Windows(*(np.ascontiguousarray(each) for each in parts))  # type: ignore[arg-type]

    def _noise(self, slot: int, batch: Batch) -> tuple[Any, Any]:
        """What the other learner will draw, standard normal."""
        generator = restore_generator(self.others[slot].state().values["noise"])
        member, (actions, size) = self.members[slot]._config, batch.actions.shape
        if self.population.shapes.algo == "td3":
            samples = member.target.samples
            noise = generator.standard_normal((actions, samples, size), dtype=np.float32).T
            missing = self.population.shapes.room.samples - samples
            return np.pad(noise, ((0, 0), (0, missing), (0, 0))), None
        steps = len(batch.next_observations)
        targets = generator.standard_normal((actions, steps, size), dtype=np.float32).T
        policy = generator.standard_normal((actions, size), dtype=np.float32).T
        missing = self.population.shapes.room.n_step - steps
        return np.pad(targets, ((0, 0), (0, missing), (0, 0))), policy.copy()
