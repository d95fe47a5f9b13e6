"""Chunks: several batches in one array, joined from several shards, hold what `ReplayBuffer.sample` gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.chunk import ChunkLayout, join_chunks, sample_chunk
from rlx2_ray.types import Batch
from tests.replay.streams import ACTION_SIZE, OBSERVATION_SIZE, FragmentSource


def filled_buffers(shards: int, seed: int = 0) -> list[ReplayBuffer]:
    """Of different sizes, each of one lane; no number is in two of them."""
    source, buffers = FragmentSource(), []
    for lane in range(shards):
        buffers.append(ReplayBuffer(OBSERVATION_SIZE, ACTION_SIZE, [lane], 1000, np.random.default_rng(seed + lane)))
        for steps, ending in ((3, "terminated"), (5 + 4 * lane, "truncated"), (4, "open")):
            buffers[-1].insert(source.make(steps, ending, lane))  # type: ignore[arg-type]
    return buffers


def layout(n_step: int, every_step: bool) -> ChunkLayout:
    return ChunkLayout(OBSERVATION_SIZE, ACTION_SIZE, n_step, every_step)


def assert_same(left: Batch, right: Batch) -> None:
    for one, other in zip(left, right, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def cut(batch: Batch, first: int, last: int) -> Batch:
    return Batch(*(array[..., first:last] for array in batch))  # type: ignore[arg-type]


counts_of_shards = st.integers(1, 4).flatmap(
    lambda shards: st.lists(
        st.lists(st.integers(0, 5), min_size=shards, max_size=shards).filter(lambda row: sum(row) > 0),
        min_size=1,
        max_size=6,
    )
)


@settings(max_examples=60)
@given(counts_of_shards, st.integers(1, 4), st.booleans(), st.integers(0, 99))
def test_batches_have_the_windows_that_each_shard_drew(
    rows: list[list[int]], n_step: int, every_step: bool, seed: int
) -> None:
    size = sum(rows[0])
    rows = [row for row in rows if sum(row) == size]  # all batches are of one size
    counts = np.asarray(rows)
    parts = [
        sample_chunk(buffer, counts[:, shard].tolist(), n_step, every_step) if counts[:, shard].any() else None
        for shard, buffer in enumerate(filled_buffers(len(rows[0]), seed))
    ]
    batches = join_chunks(parts, counts, layout(n_step, every_step))
    assert len(batches) == len(rows)
    for shard, buffer in enumerate(filled_buffers(len(rows[0]), seed)):
        if not counts[:, shard].any():
            continue
        drawn = buffer.sample(int(counts[:, shard].sum()), n_step, every_step)
        for number, batch in enumerate(batches):
            before, first = int(counts[:number, shard].sum()), int(counts[number, :shard].sum())
            count = int(counts[number, shard])
            assert_same(cut(batch, first, first + count), cut(drawn, before, before + count))


@pytest.mark.parametrize("every_step", [False, True])
def test_batches_are_writable_and_lie_as_the_buffer_leaves_them(every_step: bool) -> None:
    counts = np.array([[3, 5], [4, 4]])
    parts = [
        sample_chunk(buffer, counts[:, shard].tolist(), 3, every_step) for shard, buffer in enumerate(filled_buffers(2))
    ]
    for part in parts:
        part.flags.writeable = False  # as it arrives from another process
    for batch in join_chunks(parts, counts, layout(3, every_step)):
        for array in batch:
            assert array.flags.writeable
            assert array.flags.c_contiguous


def test_bytes_of_a_batch() -> None:
    counts = [7]
    chunk = sample_chunk(filled_buffers(1)[0], counts, 3, True)
    assert layout(3, True).batch_bytes(7) == chunk.nbytes == 4 * 7 * (2 + 3 + 3 + 3 * 2 + 2)
