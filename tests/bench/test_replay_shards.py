"""Shards as `rlx2 bench replay` measures them: nothing is lost between them, and batches are the learner's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.bench.experience import Experience
from rlx2_ray.bench.replay_shards import LANES, SHARDS, LocalShard, Setting, load, make_stream, save
from rlx2_ray.config import resolve
from rlx2_ray.distributed.replay_shard import ReplayShard
from rlx2_ray.types import Spaces

SPACES = Spaces(3, 2, (-1.0,) * 2, (1.0,) * 2)
TRANSITIONS = 4_096


@pytest.fixture
def setting() -> Setting:
    return Setting(resolve({"agent": {"batch_size": 32}}), SPACES, TRANSITIONS)


@pytest.fixture
def filled(setting: Setting, tmp_path: Path) -> ReplayShard:
    experience = Experience(SPACES, range(LANES))
    shard = ReplayShard(setting.with_shards(1), SPACES, 0, tmp_path)
    while experience.time < 2 * TRANSITIONS:
        shard.insert([experience.next()], experience.time - TRANSITIONS)
    return shard


def test_what_is_inserted_pushes_out_what_is_oldest(filled: ReplayShard) -> None:
    assert filled.status().size == TRANSITIONS
    assert filled.status().inserted == 2 * TRANSITIONS


@pytest.mark.parametrize("count", SHARDS)
def test_loaded_shards_have_what_was_saved(count: int, setting: Setting, filled: ReplayShard, tmp_path: Path) -> None:
    saved = save(filled, tmp_path, env_steps=1)
    assert saved.bytes > 4 * (3 + 2 + 2 + 1) * TRANSITIONS
    loaded = load(setting, count, saved.replay)
    assert [shard.status().size for shard in loaded.shards] == [TRANSITIONS // count] * count
    times = np.concatenate([shard.oldest_times(TRANSITIONS) for shard in loaded.shards])
    assert np.array_equal(np.sort(times), filled.oldest_times(TRANSITIONS))


@pytest.mark.parametrize("count", SHARDS)
def test_stream_gives_batches_of_full_windows(
    count: int, setting: Setting, filled: ReplayShard, tmp_path: Path
) -> None:
    shards = [LocalShard(shard) for shard in load(setting, count, save(filled, tmp_path, 1).replay).shards]
    batch: Any = make_stream(setting, shards, [shard.shard.status().size for shard in shards])()
    assert batch.observations.shape == (3, 32)
    assert batch.rewards.shape == (3, 32), "the configured n steps, from the first update on"
    assert (batch.lengths == 3).any()
    assert shards[0].batches_per_chunk == 64
