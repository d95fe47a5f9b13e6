"""A replay buffer on disk: immutable segments of rows, and an index that says which of their rows are live.

Segment k of a lane holds its rows k * S <= id < (k + 1) * S, as far as they were live when it was written. Rows that
lie in the past never change, so a later snapshot hard-links their segments instead of writing them again: a snapshot
costs what was inserted since the one before, not what the buffer holds.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.columns import map_columns, read_rows, write_rows
from rlx2_ray.replay.lane import Lane, LaneCounters
from rlx2_ray.replay.segment import read_segment, write_segment
from rlx2_ray.replay.snapshot_index import read_index, write_index
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

    `previous` is an earlier snapshot of this very buffer (or of the one it was loaded from); its sealed segments
    are linked.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise ValueError(f"a replay snapshot needs an empty directory, and {directory} is not")
    linkable = {} if previous is None else _sealed_segments(previous, segment_rows)
    lanes = [
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


def load(directory: Path) -> ReplayBuffer:
    """The buffer saved in `directory`; it continues exactly as the saved one would have.

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
    for entry in content["lanes"]:
        lane = buffer.lanes[entry["lane"]]
        lane.restore(LaneCounters(**entry["counters"]))
        for fields in entry["segments"]:
            _load_segment(lane, directory, SegmentEntry(**fields))
    return buffer


def _sealed_segments(previous: Path, segment_rows: int) -> dict[str, tuple[Path, SegmentEntry]]:
    """The segments of snapshot `previous` that still hold, by file name; none if they were cut at other rows."""
    content = read_index(previous)
    if content["segment_rows"] != segment_rows:
        return {}
    entries = [SegmentEntry(**fields) for lane in content["lanes"] for fields in lane["segments"]]
    return {entry.file: (previous / entry.file, entry) for entry in entries if entry.is_sealed}


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
            _link_or_copy(source, directory / file)
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


def _link_or_copy(source: Path, destination: Path) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)
