"""Several batches in one flat array, as a shard sends them: what is one piece costs a transport least.

Batch after batch, a chunk holds (rows, windows of the batch): observations, actions, rewards, next observations,
lengths and whether the window ended in a terminal state, the last two as float32, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.types import Batch, Bools, Floats, Indices

FLOAT_BYTES = 4


class ChunkLayout(NamedTuple):
    observation_size: int
    action_size: int
    n_step: int
    every_step: bool  # see `windows.empty_batch`

    @property
    def kept(self) -> int:
        """The number of next observations of a window."""
        return self.n_step if self.every_step else 1

    @property
    def rows(self) -> int:
        return (1 + self.kept) * self.observation_size + self.action_size + self.n_step + 2

    def batch_bytes(self, batch_size: int) -> int:
        return FLOAT_BYTES * self.rows * batch_size

    def batch(self, block: Floats, lengths: Indices, terminated: Bools) -> Batch:
        """A batch of which all but the last two arrays are views of a block (rows, B)."""
        actions = self.observation_size
        rewards = actions + self.action_size
        following = rewards + self.n_step
        next_observations = block[following:-2].reshape(self.kept, self.observation_size, block.shape[1])
        return Batch(
            block[:actions], block[actions:rewards], block[rewards:following], next_observations, lengths, terminated
        )


def sample_chunk(buffer: ReplayBuffer, counts: Sequence[int], n_step: int, every_step: bool) -> Floats:
    """Flat array of `counts[b]` windows for each batch b, drawn as `ReplayBuffer.sample` does."""
    layout = ChunkLayout(buffer.observation_size, buffer.action_size, n_step, every_step)
    total = sum(counts)
    chunk = np.empty(layout.rows * total, np.float32)
    lengths, terminated = np.empty(total, np.int64), np.empty(total, np.bool_)
    ends = np.cumsum(counts).tolist()
    pieces = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    blocks = [
        chunk[layout.rows * piece.start : layout.rows * piece.stop].reshape(layout.rows, piece.stop - piece.start)
        for piece in pieces
    ]
    batches = [
        layout.batch(block, lengths[piece], terminated[piece]) for block, piece in zip(blocks, pieces, strict=True)
    ]
    buffer.sample_into(batches)
    for block, batch in zip(blocks, batches, strict=True):
        block[-2], block[-1] = batch.lengths, batch.terminated
    return chunk


def join_chunks(parts: Sequence[Floats | None], counts: NDArray[np.int64], layout: ChunkLayout) -> list[Batch]:
    """The batches, of which shard s sent `parts[s]`, with `counts[b, s]` windows of batch b (None: with none).

    They are writable.
    """
    batches = np.empty((len(counts), layout.rows, int(counts[0].sum())), np.float32)
    columns = np.cumsum(counts, axis=1)
    for shard, part in enumerate(parts):
        if part is None:
            continue
        ends = (layout.rows * np.cumsum(counts[:, shard])).tolist()
        for batch, (end, column, count) in enumerate(zip(ends, columns[:, shard], counts[:, shard], strict=True)):
            block = part[end - layout.rows * count : end].reshape(layout.rows, count)
            batches[batch, :, column - count : column] = block
    return [layout.batch(block, block[-2].astype(np.int64), block[-1] != 0) for block in batches]
