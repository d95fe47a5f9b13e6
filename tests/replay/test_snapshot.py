"""Snapshots: what is restored goes on as if nothing had happened, finished segments are linked, damage is named."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.snapshot import load, load_lanes, save, verify
from tests.replay.streams import (
    ACTION_SIZE,
    LANES,
    OBSERVATION_SIZE,
    FragmentSource,
    Operation,
    make_buffer,
    operations,
    perform,
    windows_at,
)

SEGMENT_ROWS = 4
SIZES = (OBSERVATION_SIZE, ACTION_SIZE)


def assert_same_buffers(left: ReplayBuffer, right: ReplayBuffer) -> None:
    assert (left.capacity, list(left.lanes)) == (right.capacity, list(right.lanes))
    for one, other in zip(left.lanes.values(), right.lanes.values(), strict=True):
        assert one.counters() == other.counters()
        starts = one.oldest(one.size)
        assert_same_arrays(
            windows_at(one, starts, 3, True),
            windows_at(other, starts, 3, True),
        )
    assert_same_arrays(left.oldest(1000), right.oldest(1000))
    if left.size:
        assert_same_arrays(left.sample(16, 3, True), right.sample(16, 3, True))


def assert_same_arrays(left: Iterable[NDArray[Any]], right: Iterable[NDArray[Any]]) -> None:
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=60, deadline=None)
@given(st.lists(operations, min_size=1, max_size=4), operations, st.integers(1, 40))
def test_chain_of_snapshots_continues_exactly(
    parts: list[list[Operation]], rest: list[Operation], capacity: int
) -> None:
    buffer, source, previous = make_buffer(capacity), FragmentSource(), None
    with TemporaryDirectory() as root:
        for number, part in enumerate(parts):
            for operation in part:
                perform(operation, source, buffer)
            directory = Path(root) / str(number)
            save(buffer, directory, previous, SEGMENT_ROWS)
            previous = directory
        restored = load(directory, SIZES, LANES)
    restored.check_valid()
    assert_same_buffers(buffer, restored)
    for operation in rest:
        perform(operation, source, buffer, restored)
    restored.check_valid()
    assert_same_buffers(buffer, restored)


@pytest.fixture
def two_snapshots(tmp_path: Path) -> tuple[ReplayBuffer, Path, Path]:
    """Lane rows 0-8 saved, then 9-13 added and the oldest 5 evicted: segment 0 dies, 1 is linked, 2 and 3 are new."""
    buffer, source = make_buffer(100, lanes=1), FragmentSource()
    buffer.insert(source.make(9))
    save(buffer, tmp_path / "first", None, SEGMENT_ROWS)
    buffer.insert(source.make(5))
    buffer.evict_oldest(5)
    save(buffer, tmp_path / "second", tmp_path / "first", SEGMENT_ROWS)
    return buffer, tmp_path / "first", tmp_path / "second"


def segment_files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.arrow"))


def test_sealed_segments_are_hard_links(two_snapshots: tuple[ReplayBuffer, Path, Path]) -> None:
    buffer, first, second = two_snapshots
    names = [f"lane0-segment{number:06d}.arrow" for number in range(4)]
    assert (segment_files(first), segment_files(second)) == (names[:3], names[1:])
    assert (first / names[1]).stat().st_ino == (second / names[1]).stat().st_ino
    assert (first / names[2]).stat().st_ino != (second / names[2]).stat().st_ino
    assert_same_buffers(buffer, load(second, SIZES, 1))


def test_earlier_snapshot_may_be_deleted(two_snapshots: tuple[ReplayBuffer, Path, Path]) -> None:
    buffer, first, second = two_snapshots
    for path in first.iterdir():
        path.unlink()
    assert_same_buffers(buffer, load(second, SIZES, 1))


def test_recorded_checksum_is_reused(two_snapshots: tuple[ReplayBuffer, Path, Path]) -> None:
    _, first, second = two_snapshots
    first_entries, second_entries = (
        json.loads((directory / "index.json").read_text())["content"]["lanes"][0]["segments"]
        for directory in (first, second)
    )
    assert first_entries[1] == second_entries[0]


def test_copies_where_links_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, destination: Path) -> None:
        raise OSError(errno.EXDEV, "cross-device link")

    buffer = make_buffer(100, lanes=1)
    buffer.insert(FragmentSource().make(9))
    save(buffer, tmp_path / "first", None, SEGMENT_ROWS)
    monkeypatch.setattr(os, "link", refuse)
    save(buffer, tmp_path / "second", tmp_path / "first", SEGMENT_ROWS)
    assert (tmp_path / "second" / "lane0-segment000000.arrow").stat().st_nlink == 1
    assert_same_buffers(buffer, load(tmp_path / "second", SIZES, 1))


def test_row_that_a_cut_may_change_is_not_sealed(tmp_path: Path) -> None:
    buffer, source = make_buffer(100, lanes=1), FragmentSource()
    buffer.insert(source.make(SEGMENT_ROWS))  # row 3 ends segment 0 and is the newest transition
    save(buffer, tmp_path / "first", None, SEGMENT_ROWS)
    buffer.insert(source.make(1, arrival="cuts"))  # row 3 becomes TRUNCATED
    save(buffer, tmp_path / "second", tmp_path / "first", SEGMENT_ROWS)
    load(tmp_path / "second", SIZES, 1).check_valid()


def test_segments_of_another_length_are_not_linked(tmp_path: Path) -> None:
    buffer = make_buffer(100, lanes=1)
    buffer.insert(FragmentSource().make(20))
    save(buffer, tmp_path / "first", None, SEGMENT_ROWS)
    save(buffer, tmp_path / "second", tmp_path / "first", SEGMENT_ROWS * 2)
    assert_same_buffers(buffer, load(tmp_path / "second", SIZES, 1))


@pytest.mark.parametrize("name", ["lane0-segment000001.arrow", "lane0-segment000003.arrow", "index.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_damaged_file_is_named(two_snapshots: tuple[ReplayBuffer, Path, Path], name: str, damage: str) -> None:
    path = two_snapshots[2] / name
    content = bytearray(path.read_bytes())
    path.unlink()
    content[len(content) // 2] ^= 1
    if damage != "delete":
        path.write_bytes(content if damage == "flip" else content[:-10])
    with pytest.raises(ValueError, match=name):
        load(two_snapshots[2], SIZES, 1)


def test_shard_that_lost_its_index_is_not_passed_over(tmp_path: Path) -> None:
    buffers = {shard: make_buffer(100, lanes=1) for shard in ("shard0", "shard1")}
    for shard, buffer in buffers.items():
        buffer.insert(FragmentSource().make(9))
        save(buffer, tmp_path / "first" / shard, None, SEGMENT_ROWS)
    (tmp_path / "first" / "shard1" / "index.json").unlink()
    for read in (lambda root: load_lanes(make_buffer(100), root, lambda lane: False), lambda root: verify(root, SIZES)):
        with pytest.raises(ValueError, match=r"shard1/index\.json is missing"):
            read(tmp_path / "first")
    save(buffers["shard0"], tmp_path / "second", tmp_path / "first", SEGMENT_ROWS)
    assert_same_buffers(buffers["shard0"], load(tmp_path / "second", SIZES, 1))


def test_directory_in_use_is_refused(two_snapshots: tuple[ReplayBuffer, Path, Path]) -> None:
    buffer, _, second = two_snapshots
    with pytest.raises(ValueError, match="empty directory"):
        save(buffer, second, None)
