"""Several shards are one replay: shares, batches, the oldest, and what is evicted."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.distributed.union import draw_shares, evictions, oldest_of_union, split_batches
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.types import Batch
from tests.replay.streams import ACTION_SIZE, OBSERVATION_SIZE, FragmentSource

SHARDS, LANES = 3, 4


def make_buffer(*lanes: int) -> ReplayBuffer:
    return ReplayBuffer(OBSERVATION_SIZE, ACTION_SIZE, lanes, 10_000, np.random.default_rng(0))


def numbered_batch(first: int, windows: int) -> Batch:
    """Windows whose every number is their own."""
    numbers = np.arange(first, first + windows)
    column = numbers.astype(np.float32)[:, None]
    return Batch(column, column, column, column[:, None], numbers, numbers % 2 == 0)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5).filter(any), st.integers(1, 50), st.integers(1, 9))
def test_shares_add_up_to_the_batch_and_empty_shards_give_nothing(sizes: list[int], batch: int, batches: int) -> None:
    shares = draw_shares(sizes, batch, batches, np.random.default_rng(0))
    assert shares.shape == (batches, len(sizes))
    assert np.all(shares.sum(axis=1) == batch)
    assert np.all(shares >= 0)
    assert not shares[:, np.asarray(sizes) == 0].any()


@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any), min_size=1, max_size=6))
def test_every_window_is_in_exactly_one_batch_and_batches_have_their_shares(rows: list[list[int]]) -> None:
    shares = np.asarray(rows)
    totals = shares.sum(axis=0)
    parts = [numbered_batch(1000 * shard, total) if total else None for shard, total in enumerate(totals.tolist())]
    batches = split_batches(parts, shares)
    assert [len(batch.lengths) for batch in batches] == shares.sum(axis=1).tolist()
    for batch, expected in zip(batches, rows, strict=True):
        assert np.bincount(batch.lengths // 1000, minlength=3).tolist() == expected
        for array in (batch.observations, batch.actions, batch.rewards, batch.next_observations[:, 0]):
            assert np.array_equal(array[:, 0], batch.lengths)
        assert np.array_equal(batch.terminated, batch.lengths % 2 == 0)
    everything = np.sort(np.concatenate([batch.lengths for batch in batches]))
    assert everything.tolist() == [1000 * shard + k for shard in range(3) for k in range(totals[shard])]


@pytest.mark.parametrize("shards", [1, 2])
def test_windows_of_a_batch_lie_side_by_side_after_a_pickle_too(shards: int) -> None:
    shares = np.array([[3, 5], [4, 4]])[:, :shards]
    parts = []
    for total in shares.sum(axis=0).tolist():
        buffer = make_buffer(0)
        buffer.insert(FragmentSource().make(20))
        parts.append(pickle.loads(pickle.dumps(buffer.sample(total, 3, every_step=True), protocol=5)))
    for batch in split_batches(parts, shares):
        for array in batch:
            assert np.moveaxis(array, 0, -1).flags.c_contiguous


def test_every_transition_of_unequal_shards_is_equally_likely() -> None:
    sizes = [5, 20, 75]
    shards = []
    for size in sizes:
        shards.append(make_buffer(0))
        shards[-1].insert(FragmentSource().make(size, "terminated"))
    shares = draw_shares(sizes, 100, 400, np.random.default_rng(1))
    parts = [shard.sample(int(total), 1, False) for shard, total in zip(shards, shares.sum(axis=0), strict=True)]
    counts = []
    for part, size in zip(parts, sizes, strict=True):
        starts = (part.observations[:, 0].astype(int) - 1) // OBSERVATION_SIZE
        counts += np.bincount(starts, minlength=size).tolist()
    expected = 400 * 100 / sum(sizes)
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert len(counts) == 100
    assert 60 < chi_square < 150  # 99 degrees of freedom: outside less than once in a thousand


streams = st.lists(
    st.tuples(st.integers(0, LANES - 1), st.integers(1, 6), st.sampled_from(["open", "terminated", "truncated"])),
    min_size=1,
    max_size=20,
)


@given(streams, st.integers(1, 80))
def test_union_has_the_same_oldest_and_evicts_the_same_as_one_buffer(stream: list[tuple], count: int) -> None:  # type: ignore[type-arg]
    one = make_buffer(*range(LANES))
    shards = [make_buffer(*range(shard, LANES, SHARDS)) for shard in range(SHARDS)]
    source = FragmentSource()
    for lane, steps, ending in stream:
        fragment = source.make(steps, ending, lane)
        one.insert(fragment)
        shards[lane % SHARDS].insert(fragment)

    observations, policy_actions = oldest_of_union([shard.oldest(count) for shard in shards], count)
    assert np.array_equal(observations, one.oldest(count)[0])
    assert np.array_equal(policy_actions, one.oldest(count)[1])

    counts = evictions([shard.oldest(count)[2] for shard in shards], count)
    assert sum(counts) == min(count, one.size)
    for shard, part in zip(shards, counts, strict=True):
        shard.evict_oldest(part)
    one.evict_oldest(count)
    left = oldest_of_union([shard.oldest(1000) for shard in shards], 1000)
    assert np.array_equal(left[0], one.oldest(1000)[0])


def test_eviction_by_hand() -> None:
    times = [np.array([0, 1, 8]), np.array([2, 3, 4]), np.array([9])]
    assert evictions(times, 4) == [2, 2, 0]
    assert evictions(times, 6) == [3, 3, 0]
    assert evictions(times, 100) == [3, 3, 1]
