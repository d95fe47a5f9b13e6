"""A replay buffer on disk: immutable segments of rows, and an index that says which of their rows are live.

Segment k of a lane holds its rows k * S <= id < (k + 1) * S, as far as they were live when it was written. Rows that
lie in the past never change, so a later snapshot hard-links their segments instead of writing them again: a snapshot
costs what was inserted since the one before, not what the buffer holds.

A replay may be saved by several shards, each into a folder of its own below the same root. What is saved belongs to
lanes and not to shards, so that any number of shards can take it over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rlx2_ray.files import link_or_copy
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.columns import read_rows, skip_rows, write_rows
from rlx2_ray.replay.lane import Lane
from rlx2_ray.replay.segment import read_segment, write_segment
from rlx2_ray.replay.snapshot_index import (
    INDEX_FILE,
    Index,
    LaneEntry,
    SegmentEntry,
    Sizes,
    read_index,
    segment_file,
    segments_of,
    write_index,
)
from rlx2_ray.seeding import generator_state, restore_generator

SEGMENT_ROWS = 65536


def save(buffer: ReplayBuffer, directory: Path, previous: Path | None, segment_rows: int = SEGMENT_ROWS) -> None:
    """Write `buffer` into `directory`, which is new or empty. The index comes last: without it there is no snapshot.

    `previous` is the root of an earlier snapshot; those of its sealed segments that are of this buffer's own past are
    linked.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ValueError(f"a replay snapshot needs an empty directory, and {directory} is not")
    linkable = {} if previous is None else _linkable_segments(buffer, previous, segment_rows)
    lanes: list[dict[str, Any]] = [
        {
            "lane": number,
            "counters": lane.counters()._asdict(),
            "segments": _save_lane(lane, number, directory, linkable, segment_rows),
        }
        for number, lane in buffer.lanes.items()
    ]
    content = {
        "observation_size": buffer.observation_size,
        "action_size": buffer.action_size,
        "capacity": buffer.capacity,
        "generator": generator_state(buffer.generator),
        "segment_rows": segment_rows,
        "lanes": lanes,
    }
    write_index(directory, content)
    buffer.sealed = {
        segment["file"]: segment["sha256"] for lane in lanes for segment in lane["segments"] if segment["is_sealed"]
    }


def load(directory: Path, sizes: Sizes, lanes: int) -> ReplayBuffer:
    """The buffer of so many lanes saved in `directory` itself; it continues exactly as the saved one would have.

    ValueError names the file that is missing or damaged, or is of another task.
    """
    index = read_index(directory, sizes)
    numbers = [entry.lane for entry in index.lanes]
    if sorted(numbers) != list(range(lanes)):
        raise ValueError(f"the replay in {directory} has {len(numbers)} lanes, and not those of {lanes} environments")
    buffer = ReplayBuffer(*sizes, numbers, index.capacity, restore_generator(index.generator))
    _load_lanes(buffer, directory, index, index.lanes)
    if buffer.size > buffer.capacity:
        raise ValueError(f"the replay in {directory} holds more than its capacity")
    return buffer


def load_lanes(buffer: ReplayBuffer, root: Path, is_wanted: Callable[[int], bool]) -> None:
    """Put those lanes saved below `root`, by however many shards, whose numbers are wanted into the new `buffer`.

    ValueError as in `load`; the buffer is of no use then.
    """
    for directory, index in read_indexes(root, (buffer.observation_size, buffer.action_size)).items():
        lanes = [entry for entry in index.lanes if is_wanted(entry.lane)]
        for entry in lanes:
            buffer.add_lane(entry.lane)
        _load_lanes(buffer, directory, index, lanes)


def verify(root: Path, sizes: Sizes) -> None:
    """Read all that was saved below `root`. ValueError names the file that is missing or damaged."""
    for directory, index in read_indexes(root, sizes).items():
        for entry in index.lanes:
            _load_lane(Lane(*sizes), directory, index, entry)


def read_indexes(root: Path, sizes: Sizes) -> dict[Path, Index]:
    """The indexes below `root`, at least one, by their folders. ValueError as in `load`."""
    indexes = {directory: read_index(directory, sizes) for directory in snapshot_directories(root)}
    if not indexes or root.is_symlink():
        raise ValueError(f"there is no replay snapshot in {root}")
    numbers = [entry.lane for index in indexes.values() for entry in index.lanes]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"the replay in {root} has a lane twice")
    return indexes


def snapshot_directories(root: Path) -> list[Path]:
    """Where below `root` there should be an index: in itself, or in each folder, which is a shard's."""
    if (root / INDEX_FILE).exists():
        return [root]
    return sorted(path for path in root.glob("*") if path.is_dir())


def _load_lanes(buffer: ReplayBuffer, directory: Path, index: Index, lanes: Iterable[LaneEntry]) -> None:
    for entry in lanes:
        _load_lane(buffer.lanes[entry.lane], directory, index, entry)
        buffer.sealed |= {segment.file: segment.sha256 for segment in entry.segments if segment.is_sealed}


def _load_lane(lane: Lane, directory: Path, index: Index, entry: LaneEntry) -> None:
    try:
        lane.restore(entry.counters)
    except MemoryError:
        raise ValueError(f"the replay in {directory} has no room in memory: lane {entry.lane}") from None
    for segment in entry.segments:
        first, count, evicted = entry.rows_of(segment, index.segment_rows)
        rows = read_segment(directory / segment.file, segment.sha256, count, index.sizes)
        live = skip_rows(rows, evicted)
        write_rows(lane.columns, np.arange(first + evicted, first + count), live)
    if not lane.has_valid_rows():
        raise ValueError(f"the replay in {directory} has rows of lane {entry.lane} that are not in order")


def _linkable_segments(buffer: ReplayBuffer, previous: Path, segment_rows: int) -> dict[str, tuple[Path, SegmentEntry]]:
    """The segments below `previous` that `buffer` would write again, by file name; none if cut at other rows.

    The checksum tells: the rows of a shard that died and went back to an older snapshot have another past.
    """
    linkable = {}
    for directory in snapshot_directories(previous):
        try:
            index = read_index(directory, (buffer.observation_size, buffer.action_size))
        except ValueError:  # what is damaged there is written again
            continue
        if index.segment_rows != segment_rows:
            continue
        for entry in (segment for lane in index.lanes for segment in lane.segments):
            if buffer.sealed.get(entry.file) == entry.sha256:
                linkable[entry.file] = (directory / entry.file, entry)
    return linkable


def _save_lane(
    lane: Lane, number: int, directory: Path, linkable: dict[str, tuple[Path, SegmentEntry]], segment_rows: int
) -> list[dict[str, object]]:
    """Write or link the segments of one lane; returns their entries as JSON-ready values."""
    end = lane.head + lane.is_open
    entries: list[dict[str, object]] = []
    for segment in segments_of(lane.counters(), segment_rows):
        file = segment_file(number, segment)
        if file in linkable:
            source, entry = linkable[file]
            link_or_copy(source, directory / file)
        else:
            ids = np.arange(max(lane.tail, segment * segment_rows), min(end, (segment + 1) * segment_rows))
            sha256 = write_segment(directory / file, read_rows(lane.columns, ids))
            # Row head - 1 may still change: it becomes TRUNCATED when its episode is cut.
            is_sealed = (segment + 1) * segment_rows < lane.head
            entry = SegmentEntry(file, int(ids[0]), is_sealed, sha256)
        entries.append(entry._asdict())
    return entries
