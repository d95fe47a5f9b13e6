"""The learner's batches, which the shards are asked for ahead of time, in chunks of many."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.agents.learner import WindowSpec, window_spec
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.union import draw_shares
from rlx2_ray.replay.chunk import ChunkLayout, join_chunks
from rlx2_ray.types import Batch, Floats, Spaces

CHUNK_BATCHES = 64  # at most ...
CHUNK_BYTES = 8 * 1024**2  # ... and what they may hold
IN_FLIGHT = 2  # chunks


class Pending(Protocol):
    """Part of a chunk on its way; None where the shard turns out to be empty."""

    def get(self) -> Floats | None: ...


class Sampler(Protocol):
    def sample(self, counts: list[int], n_step: int, every_step: bool) -> Pending: ...


class _Chunk(NamedTuple):
    """Several batches of one window length."""

    layout: ChunkLayout
    counts: NDArray[np.int64]  # (batches, shards), windows
    parts: list[Pending | None]  # of each shard; None: nothing was asked for


class BatchStream:
    def __init__(
        self,
        config: ExperimentConfig,
        spaces: Spaces,
        shards: Sequence[Sampler],
        first_update: int,
        generator: np.random.Generator,
    ) -> None:
        """The first batch is for the update after `first_update` ones."""
        self._config = config
        self._spaces = spaces
        self._shards = shards
        self._generator = generator
        self._requested = first_update  # the learner step up to which batches have been asked for
        self._chunks: deque[_Chunk] = deque()
        self._ready: deque[Batch] = deque()

    def next(self, sizes: Sequence[int]) -> Batch | None:
        """The batch of the next update; None where a shard is empty that was not, by its size of `sizes`."""
        if not self._ready:
            self._request(sizes)
            self._ready += self._receive()
            self._request(sizes)  # while the learner is busy with these
        return self._ready.popleft() if self._ready else None

    def _request(self, sizes: Sequence[int]) -> None:
        """Keep `IN_FLIGHT` chunks asked for."""
        config = self._config
        while len(self._chunks) < IN_FLIGHT:
            windows = window_spec(config, self._requested)
            layout = ChunkLayout(*self._spaces[:2], windows.n_step, windows.every_step)
            batches = self._batches_of_chunk(layout, windows)
            counts = draw_shares(sizes, config.agent.batch_size, batches, self._generator)
            parts = [
                shard.sample(share.tolist(), windows.n_step, windows.every_step) if share.any() else None
                for shard, share in zip(self._shards, counts.T, strict=True)
            ]
            self._chunks.append(_Chunk(layout, counts, parts))
            self._requested += batches

    def _batches_of_chunk(self, layout: ChunkLayout, windows: WindowSpec) -> int:
        """No chunk goes across a change of its windows."""
        batches = min(CHUNK_BATCHES, max(1, CHUNK_BYTES // layout.batch_bytes(self._config.agent.batch_size)))
        return batches if windows.updates is None else min(batches, windows.updates)

    def _receive(self) -> list[Batch]:
        """The batches of the oldest request; none where a shard has nothing."""
        layout, counts, pending = self._chunks.popleft()
        parts = [part.get() if part else None for part in pending]
        if any(part is None and asked for part, asked in zip(parts, pending, strict=True)):
            return []
        return join_chunks(parts, counts, layout)
