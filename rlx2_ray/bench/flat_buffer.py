"""The named reference of replay: a flat ring that stores observation and next observation, in plain numpy.

The layout is that of Stable-Baselines3's ReplayBuffer, in float32 throughout. It knows 1-step transitions only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Floats, Fragment


class FlatBatch(NamedTuple):
    observations: Floats  # (B, observation_size)
    actions: Floats  # (B, action_size)
    rewards: Floats  # (B,)
    next_observations: Floats  # (B, observation_size)
    terminated: Floats  # (B,), 1 or 0


class FlatBuffer:
    """A ring that holds at most `capacity` transitions, of which the oldest is overwritten first."""

    def __init__(self, observation_size: int, action_size: int, capacity: int, generator: np.random.Generator) -> None:
        self.size = self._place = 0
        self._capacity = capacity
        self._generator = generator
        self._observations = np.zeros((capacity, observation_size), np.float32)
        self._next_observations = np.zeros((capacity, observation_size), np.float32)
        self._actions = np.zeros((capacity, action_size), np.float32)
        self._rewards, self._dones, self._timeouts = np.zeros((3, capacity), np.float32)

    @property
    def bytes_per_transition(self) -> float:
        return sum(column.nbytes for column in self.columns()) / self._capacity

    def insert(self, fragment: Fragment) -> None:
        count, first = len(fragment.rewards), self._place
        self._place = (first + count) % self._capacity
        self.size = min(self.size + count, self._capacity)
        fits = first + count <= self._capacity
        places = slice(first, first + count) if fits else np.arange(first, first + count) % self._capacity
        self._observations[places] = fragment.observations[:-1]
        self._next_observations[places] = fragment.observations[1:]
        self._actions[places] = fragment.actions
        self._rewards[places] = fragment.rewards
        self._dones[places] = self._timeouts[places] = 0
        self._dones[self._place - 1] = fragment.terminated or fragment.truncated
        self._timeouts[self._place - 1] = fragment.truncated

    def sample(self, batch_size: int) -> FlatBatch:
        """Returns transitions that are drawn uniformly and with replacement."""
        places = self._generator.integers(self.size, size=batch_size)
        return FlatBatch(
            self._observations[places],
            self._actions[places],
            self._rewards[places],
            self._next_observations[places],
            self._dones[places] * (1 - self._timeouts[places]),
        )

    def columns(self) -> tuple[NDArray[np.float32], ...]:
        return (
            self._observations,
            self._next_observations,
            self._actions,
            self._rewards,
            self._dones,
            self._timeouts,
        )
