"""What the learner actor does: updates, on batches that it has asked the shards for ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import LearnerState, needs_every_step, window_length
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.union import draw_shares, split_batches
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.seeding import make_generator
from rlx2_ray.types import Batch, Spaces

CHUNK_BATCHES = 16  # asked for in one call
IN_FLIGHT = 2  # chunks


class Pending(Protocol):
    """A batch on its way."""

    def get(self) -> Batch: ...


class Sampler(Protocol):
    def sample(self, windows: int, n_step: int, every_step: bool) -> Pending: ...


class Learned(NamedTuple):
    learner_steps: int
    metrics: dict[str, float]


class _Chunk(NamedTuple):
    """Several batches of one window length."""

    shares: NDArray[np.int64]  # (batches, shards)
    parts: list[Pending | None]  # of each shard


class LearnerWorker:
    def __init__(self, config: ExperimentConfig, spaces: Spaces, shards: Sequence[Sampler]) -> None:
        self._config = config
        self._shards = shards
        self._learner = make_learner(config, spaces)
        self._generator = make_generator(config.seed, "shard shares")
        self._chunks: deque[_Chunk] = deque()
        self._requested = 0  # the learner step up to which batches have been asked for

    def learn(self, updates: int, sizes: Sequence[int]) -> tuple[Learned, Layers]:
        """Do `updates` updates on shards of these sizes; what was done, and the policy after it."""
        target = self._learner.learner_steps + updates
        while self._learner.learner_steps < target:
            self._request(target, sizes)
            for batch in self._take():
                self._learner.update(batch)
        return Learned(target, self._learner.metrics()), self._learner.policy_layers()

    def policy_layers(self) -> Layers:
        return self._learner.policy_layers()

    def state(self) -> LearnerState:
        return self._learner.state()

    def restore(self, state: LearnerState) -> int:
        """Go on from a state; returns its learner step."""
        self._learner.restore(state)
        self._chunks.clear()
        self._requested = self._learner.learner_steps
        return self._requested

    def _request(self, target: int, sizes: Sequence[int]) -> None:
        """Keep `IN_FLIGHT` chunks asked for, none of them beyond `target` or across a change of window length."""
        while len(self._chunks) < IN_FLIGHT and self._requested < target:
            n_step = window_length(self._config, self._requested)
            start = self._config.target.n_step_start
            end = min(target, start) if self._requested < start else target
            batches = min(end - self._requested, CHUNK_BATCHES)
            shares = draw_shares(sizes, self._config.agent.batch_size, batches, self._generator)
            every_step = needs_every_step(self._config)
            parts = [
                shard.sample(windows, n_step, every_step) if windows else None
                for shard, windows in zip(self._shards, shares.sum(axis=0).tolist(), strict=True)
            ]
            self._chunks.append(_Chunk(shares, parts))
            self._requested += batches

    def _take(self) -> list[Batch]:
        shares, parts = self._chunks.popleft()
        return split_batches([part.get() if part else None for part in parts], shares)
