"""A population with made-up experience, whose updates can be timed."""

from __future__ import annotations

import numpy as np

from rlx2_ray.agents.population.population import Population
from rlx2_ray.agents.population.replay import Transitions
from rlx2_ray.agents.population.shapes import Shapes
from rlx2_ray.agents.population.slot_learner import SlotLearner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.types import Spaces

STORED = 500  # transitions of each member while updates are timed: gathering costs the same for more, but for caches


def populate(config: ExperimentConfig, spaces: Spaces, slots: int, device: str) -> tuple[Population, list[SlotLearner]]:
    """Members with made-up experience in episodes of 50 steps."""
    population = Population(Shapes.of(config, spaces), slots, 2 * STORED, device)
    members = [
        SlotLearner(config.model_copy(update={"seed": slot}), spaces, None, population, slot) for slot in range(slots)
    ]
    random, places = np.random.default_rng(0), np.arange(slots)
    for step in range(STORED):
        actions = random.uniform(-1, 1, (slots, spaces.action_size)).astype(np.float32)
        observations, nexts = random.standard_normal((2, slots, spaces.observation_size), np.float32)
        ends = np.full(slots, step % 50 == 49)
        moment = np.full(slots, step // 50), np.full(slots, step % 50)
        rewards = random.standard_normal(slots, np.float32)
        population.replays.insert(
            Transitions(places, observations, actions, actions, rewards, nexts, ends, ~ends & False, *moment)
        )
    return population, members
