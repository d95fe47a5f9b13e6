"""Snapshots of several shards: taken over by any number of them, linked by those, and never by another history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.snapshot import load_lanes, save
from tests.distributed.local_union import EVERYTHING, LANES, LocalUnion, make_buffer
from tests.replay.reference import ReferenceBuffer
from tests.replay.streams import FragmentSource, Insert, Operation, evictions, perform, windows_at
from tests.replay.test_windows import assert_window

SEGMENT_ROWS = 4
SHARDS = st.integers(1, 4)


def inserts(lanes: int) -> st.SearchStrategy[Insert]:
    return st.builds(
        Insert,
        st.integers(0, lanes - 1),
        st.integers(1, 6),
        st.sampled_from(["open", "terminated", "truncated"]),
        st.sampled_from(["next", "next", "next", "cuts", "gap", "again"]),
        st.just(False),  # rollouts never give two transitions the same time
    )


operations = st.lists(st.one_of(inserts(LANES), inserts(LANES), inserts(LANES), evictions), max_size=15)
inserts_of_one_lane = st.lists(inserts(1), min_size=1, max_size=4)


@pytest.fixture(autouse=True, scope="module")
def tiny_rings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlx2_ray.replay.lane.INITIAL_ROWS", 2)
        yield


def save_union(union: LocalUnion, root: Path, previous: Path | None) -> None:
    for number, shard in enumerate(union.shards):
        save(shard, root / f"shard{number}", previous, SEGMENT_ROWS)


def load_union(root: Path, shards: int, capacity: int) -> LocalUnion:
    union = LocalUnion(shards, capacity)
    for number, shard in enumerate(union.shards):
        load_lanes(shard, root, lambda lane, number=number: lane % shards == number)  # type: ignore[misc]
        shard.check_valid()
        assert all(lane % shards == number for lane in shard.lanes)
    return union


def assert_equals_reference(union: LocalUnion, reference: ReferenceBuffer) -> None:
    lanes = [(number, lane) for shard in union.shards for number, lane in shard.lanes.items()]
    assert sorted(number for number, _ in lanes) == list(range(LANES))
    for number, lane in lanes:
        batch = windows_at(lane, lane.oldest(lane.size), 3, every_step=True)
        expected = reference.windows(number, 3)
        assert len(batch.lengths) == len(expected)
        for index, window in enumerate(expected):
            assert_window(batch, index, window, 3)
    times = union.oldest(EVERYTHING)[2].tolist()
    assert times == [transition.time for transition in reference.oldest(EVERYTHING)]


def assert_can_be_sampled(union: LocalUnion, reference: ReferenceBuffer) -> None:
    starts = {window.observation.tobytes() for lane in range(LANES) for window in reference.windows(lane, 1)}
    for shard in union.shards:
        if shard.size:
            assert {row.tobytes() for row in shard.sample(20, 3, every_step=False).observations.T} <= starts


@given(SHARDS, st.lists(st.tuples(operations, SHARDS), min_size=1, max_size=4), st.integers(1, 60))
def test_shards_of_another_number_take_over_all_and_go_on(
    shards: int, phases: list[tuple[list[Operation], int]], capacity: int
) -> None:
    union, reference, source = LocalUnion(shards, capacity), ReferenceBuffer(LANES, capacity), FragmentSource()
    previous = None
    with TemporaryDirectory() as folder:
        for number, (stream, shards_then) in enumerate(phases):
            for operation in stream:
                perform(operation, source, union, reference)  # type: ignore[arg-type]
            root = Path(folder) / str(number)
            save_union(union, root, previous)
            event(f"{len(union.shards)} -> {shards_then}")
            union, time = load_union(root, shards_then, capacity), union.time
            union.time, previous = time, root
            assert_equals_reference(union, reference)
            assert_can_be_sampled(union, reference)


def sealed_files(root: Path) -> dict[str, Path]:
    """The segments below `root` that are finished, by name."""
    return {
        segment["file"]: index.parent / segment["file"]
        for index in root.glob("*/index.json")
        for lane in json.loads(index.read_text())["content"]["lanes"]
        for segment in lane["segments"]
        if segment["is_sealed"]
    }


def test_another_number_of_shards_links_what_the_first_had_sealed(tmp_path: Path) -> None:
    union, source = LocalUnion(2, EVERYTHING), FragmentSource()
    for lane in range(LANES):
        union.insert(source.make(30, "open", lane))
    save_union(union, tmp_path / "first", None)
    resharded = load_union(tmp_path / "first", 3, EVERYTHING)
    for lane in range(LANES):
        resharded.insert(source.make(10, "open", lane))
    save_union(resharded, tmp_path / "second", tmp_path / "first")
    first, second = sealed_files(tmp_path / "first"), sealed_files(tmp_path / "second")
    assert len(first) == LANES * 7
    assert len(second) == LANES * 10 - LANES
    for name, file in first.items():
        assert second[name].stat().st_ino == file.stat().st_ino, name
    assert {name.partition("-")[0] for name in first} == {f"lane{lane}" for lane in range(LANES)}


# A shard that went back to an older snapshot


def went_back(root: Path) -> ReplayBuffer:
    buffer = make_buffer([0])
    load_lanes(buffer, root, lambda lane: True)
    return buffer


def assert_same_windows(one: ReplayBuffer, other: ReplayBuffer) -> None:
    for lane, twin in zip(one.lanes.values(), other.lanes.values(), strict=True):
        assert lane.counters() == twin.counters()
        starts = lane.oldest(lane.size)
        for left, right in zip(windows_at(lane, starts, 3, True), windows_at(twin, starts, 3, True), strict=True):
            np.testing.assert_array_equal(left, right)
    for left, right in zip(one.oldest(EVERYTHING), other.oldest(EVERYTHING), strict=True):
        np.testing.assert_array_equal(left, right)


@given(st.lists(st.tuples(inserts_of_one_lane, st.none() | st.integers(0, 5)), min_size=3, max_size=6))
def test_a_snapshot_holds_the_buffer_whatever_it_went_back_to_before(
    lives: list[tuple[list[Operation], int | None]],
) -> None:
    """Each life works, saves, and may then be followed by one that begins with an earlier snapshot."""
    buffer, source = make_buffer([0]), FragmentSource()
    with TemporaryDirectory() as folder:
        roots: list[Path] = []
        for stream, back in lives:
            for operation in stream:
                perform(operation, source, buffer)
            roots.append(Path(folder) / str(len(roots)))
            save(buffer, roots[-1] / "shard0", roots[-2] if len(roots) > 1 else None, SEGMENT_ROWS)
            assert_same_windows(went_back(roots[-1]), buffer)
            if back is not None:
                buffer = went_back(roots[back % len(roots)])


def test_the_history_that_a_shard_no_longer_has_is_not_linked(tmp_path: Path) -> None:
    buffer, source = make_buffer([0]), FragmentSource()
    buffer.insert(source.make(6))
    save(buffer, tmp_path / "first" / "shard0", None, SEGMENT_ROWS)
    buffer.insert(source.make(10))
    save(buffer, tmp_path / "second" / "shard0", tmp_path / "first", SEGMENT_ROWS)
    restarted = went_back(tmp_path / "first")
    restarted.insert(source.make(9))  # what came between is lost
    save(restarted, tmp_path / "third" / "shard0", tmp_path / "second", SEGMENT_ROWS)
    inodes = [
        {name: file.stat().st_ino for name, file in sealed_files(tmp_path / root).items()}
        for root in ("first", "second", "third")
    ]
    names = sorted(inodes[2])
    assert len(names) == 3
    assert [inodes[2][name] == inodes[1][name] for name in names] == [True, False, False]
