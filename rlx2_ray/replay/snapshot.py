"""A replay buffer on disk: immutable segments of rows, and an index that says which of their rows are live.

Segment k of a lane holds its rows k * S <= id < (k + 1) * S, as far as they were live when it was written. Rows that
lie in the past never change, so a later snapshot hard-links their segments instead of writing them again: a snapshot
costs what was inserted since the one before, not what the buffer holds.

A replay may be saved by several shards, each into a folder of its own below the same root. What is saved belongs to
lanes and not to shards, so that any number of shards can take it over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlx2_ray.files import link_or_copy
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.columns import map_columns, read_rows, write_rows
from rlx2_ray.replay.lane import Lane, LaneCounters
from rlx2_ray.replay.segment import read_segment, write_segment
from rlx2_ray.replay.snapshot_index import INDEX_FILE, read_index, write_index
from rlx2_ray.seeding import generator_state, restore_generator

SEGMENT_ROWS = 65536


class SegmentEntry(NamedTuple):
    """What the index says of one segment file."""

    file: str  # name inside the snapshot's directory
    first_row: int  # id of its first row
    is_sealed: bool  # it is complete and its rows never change again
    sha256: str


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
    buffer.sealed = _sealed(lanes)


def load(directory: Path) -> ReplayBuffer:
    """The buffer saved in `directory` itself; it continues exactly as the saved one would have.

    ValueError names the file that is missing or damaged.
    """
    content = read_index(directory)
    buffer = ReplayBuffer(
        content["observation_size"],
        content["action_size"],
        [entry["lane"] for entry in content["lanes"]],
        content["capacity"],
        restore_generator(content["generator"]),
    )
    _load_lanes(buffer, directory, content["lanes"])
    return buffer


def load_lanes(buffer: ReplayBuffer, root: Path, is_wanted: Callable[[int], bool]) -> None:
    """Put those lanes saved below `root`, by however many shards, whose numbers are wanted into the new `buffer`.

    ValueError as in `load`; the buffer is of no use then.
    """
    directories = snapshot_directories(root)
    if not directories:
        raise ValueError(f"there is no replay snapshot in {root}")
    for directory in directories:
        lanes = [entry for entry in read_index(directory)["lanes"] if is_wanted(entry["lane"])]
        for entry in lanes:
            buffer.add_lane(entry["lane"])
        _load_lanes(buffer, directory, lanes)


def verify(root: Path) -> None:
    """Read all that was saved below `root`. ValueError names the file that is missing or damaged."""
    for directory in snapshot_directories(root):
        for entry in _entries(read_index(directory)["lanes"]):
            read_segment(directory / entry.file, entry.sha256)


def snapshot_directories(root: Path) -> list[Path]:
    """Where below `root` there should be an index: in itself, or in each folder, which is a shard's."""
    if (root / INDEX_FILE).exists():
        return [root]
    return sorted(path for path in root.glob("*") if path.is_dir())


def _load_lanes(buffer: ReplayBuffer, directory: Path, lanes: list[dict[str, Any]]) -> None:
    for entry in lanes:
        lane = buffer.lanes[entry["lane"]]
        lane.restore(LaneCounters(**entry["counters"]))
        for fields in entry["segments"]:
            _load_segment(lane, directory, SegmentEntry(**fields))
    buffer.sealed |= _sealed(lanes)


def _sealed(lanes: list[dict[str, Any]]) -> dict[str, str]:
    """The checksums of the sealed segments in an index's lanes, by file name."""
    return {entry.file: entry.sha256 for entry in _entries(lanes) if entry.is_sealed}


def _entries(lanes: list[dict[str, Any]]) -> list[SegmentEntry]:
    return [SegmentEntry(**fields) for lane in lanes for fields in lane["segments"]]


def _linkable_segments(buffer: ReplayBuffer, previous: Path, segment_rows: int) -> dict[str, tuple[Path, SegmentEntry]]:
    """The segments below `previous` that `buffer` would write again, by file name; none if cut at other rows.

    The checksum tells: the rows of a shard that died and went back to an older snapshot have another past.
    """
    linkable = {}
    for directory in snapshot_directories(previous):
        try:
            content = read_index(directory)
        except ValueError:  # what is damaged there is written again
            continue
        if content["segment_rows"] != segment_rows:
            continue
        for entry in _entries(content["lanes"]):
            if buffer.sealed.get(entry.file) == entry.sha256:
                linkable[entry.file] = (directory / entry.file, entry)
    return linkable


def _save_lane(
    lane: Lane, number: int, directory: Path, linkable: dict[str, tuple[Path, SegmentEntry]], segment_rows: int
) -> list[dict[str, object]]:
    """Write or link the segments of one lane; returns their entries as JSON-ready values."""
    end = lane.head + lane.is_open
    entries: list[dict[str, object]] = []
    if lane.tail == end:
        return entries
    for segment in range(lane.tail // segment_rows, (end - 1) // segment_rows + 1):
        file = f"lane{number}-segment{segment:06d}.arrow"
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


def _load_segment(lane: Lane, directory: Path, entry: SegmentEntry) -> None:
    """Put the rows of one segment that are still live into `lane`."""
    rows = read_segment(directory / entry.file, entry.sha256)
    evicted = max(0, lane.tail - entry.first_row)
    live = map_columns(lambda column: column[evicted:], rows)
    first_row = entry.first_row + evicted
    write_rows(lane.columns, np.arange(first_row, first_row + len(live.flag)), live)
