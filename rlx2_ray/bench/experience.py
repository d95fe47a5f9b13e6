"""Made-up experience: what rollouts would send, as fast as memory can be sliced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.types import Fragment, Spaces

FRAGMENT_STEPS = 32  # as a rollout sends them
EPISODE_STEPS = 256  # a multiple of it, so that every fragment has as many transitions
POOL = 4096  # different rows


class Experience:
    """The source of episodes of `EPISODE_STEPS` steps in some lanes, every other one truncated."""

    def __init__(self, spaces: Spaces, lanes: Sequence[int]) -> None:
        generator = np.random.default_rng(0)
        rows = POOL + EPISODE_STEPS + 1
        self.time = 0  # env steps of all lanes so far
        self._lanes = lanes
        self._turn = 0
        self._steps = dict.fromkeys(lanes, 0)
        self._observations = generator.standard_normal((rows, spaces.observation_size), dtype=np.float32)
        self._actions = np.tanh(generator.standard_normal((rows, spaces.action_size), dtype=np.float32))
        self._rewards = generator.standard_normal(rows, dtype=np.float32)

    def next(self, steps: int = FRAGMENT_STEPS) -> Fragment:
        """Returns the next `steps`, always the same divisor of `EPISODE_STEPS`, of the lane whose turn it is."""
        lane = self._lanes[self._turn]
        self._turn = (self._turn + 1) % len(self._lanes)
        episode, step = divmod(self._steps[lane], EPISODE_STEPS)
        start = self._steps[lane] % POOL
        piece = slice(start, start + steps)
        ends = step + steps == EPISODE_STEPS
        fragment = Fragment(
            lane=lane,
            time=self.time,
            episode=episode,
            step=step,
            observations=self._observations[start : start + steps + 1],
            actions=self._actions[piece],
            policy_actions=self._actions[piece],
            rewards=self._rewards[piece],
            terminated=ends and episode % 2 == 0,
            truncated=ends and episode % 2 == 1,
        )
        self._steps[lane] += steps
        self.time += steps
        return fragment
