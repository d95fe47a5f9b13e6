"""A snapshot's index.json: what its segments mean, guarded by a checksum of its own.

It may come from somebody else. So that nothing behind it has to doubt it, it is read into what cannot be wrong: numbers
that a replay could have written, and of each segment the file and the rows that follow from the rest.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, ValidationError, model_validator

from rlx2_ray import files, json_text
from rlx2_ray.replay.lane import GROWTH, INITIAL_ROWS, LaneCounters
from rlx2_ray.seeding import restore_generator
from rlx2_ray.strict import LARGEST, Strict, first_problem

INDEX_FILE = "index.json"
MOST_BYTES = 32 << 20  # of an index: more than 100,000 segments
MOST_SEGMENT_ROWS = 1 << 20
LONGEST_FRAGMENT = 1 << 20  # transitions

Sizes = tuple[int, int]  # of an observation and an action
Size = Annotated[int, Field(ge=1, lt=1 << 31)]


class SegmentEntry(NamedTuple):
    """What the index says of one segment file."""

    file: str  # name inside the snapshot's directory
    first_row: int  # id of its first row
    is_sealed: bool  # it is complete and its rows never change again
    sha256: str


class SegmentRows(NamedTuple):
    """Which rows a segment holds."""

    first: int  # id
    rows: int  # how many
    evicted: int  # how many of them are no longer live


class LaneEntry(Strict):
    """What the index says of a lane."""

    lane: int = Field(ge=0, lt=1 << 31)
    counters: LaneCounters
    segments: tuple[SegmentEntry, ...] = Field(strict=False)  # JSON has no tuples

    @property
    def end(self) -> int:
        """The id after its last row."""
        return self.counters.head + self.counters.is_open

    def rows_of(self, segment: SegmentEntry, segment_rows: int) -> SegmentRows:
        last = min(self.end, (segment.first_row // segment_rows + 1) * segment_rows)
        evicted = max(0, self.counters.tail - segment.first_row)
        return SegmentRows(segment.first_row, last - segment.first_row, evicted)


def segment_file(lane: int, segment: int) -> str:
    """The name of the file of a lane's segment."""
    return f"lane{lane}-segment{segment:06d}.arrow"


def segments_of(counters: LaneCounters, segment_rows: int) -> range:
    """The numbers of the segments that hold a lane's live rows."""
    end = counters.head + counters.is_open
    if counters.tail == end:
        return range(0)
    return range(counters.tail // segment_rows, (end - 1) // segment_rows + 1)


class Index(Strict):
    observation_size: Size
    action_size: Size
    capacity: int = Field(ge=1, le=LARGEST)
    generator: Annotated[dict[str, Any], AfterValidator(lambda state: restore_generator(state) and state)]
    segment_rows: int = Field(ge=1, le=MOST_SEGMENT_ROWS)
    lanes: tuple[LaneEntry, ...] = Field(strict=False)

    @property
    def sizes(self) -> Sizes:
        return self.observation_size, self.action_size

    @model_validator(mode="after")
    def _check(self) -> Index:
        if len({entry.lane for entry in self.lanes}) < len(self.lanes):
            raise ValueError("a lane stands there twice")
        for entry in self.lanes:
            if not _is_consistent(entry.counters, self.capacity):
                raise ValueError(f"lane {entry.lane} has counters that cannot be")
            if not _are_its_segments(entry, self.segment_rows):
                raise ValueError(f"lane {entry.lane} has segments that are not those of its rows")
        return self


def _is_consistent(counters: LaneCounters, capacity: int) -> bool:
    live = counters.head - counters.tail
    needed = 2 * capacity + LONGEST_FRAGMENT  # no two BOUNDARY rows are neighbours
    return (
        all(0 <= count <= LARGEST for count in counters)
        and 0 <= live + counters.is_open <= counters.rows <= max(INITIAL_ROWS, int(GROWTH * needed))
        and (counters.size > 0) == (live > 0)
        and counters.size <= min(live, counters.inserted, counters.next_time)
    )


def _are_its_segments(entry: LaneEntry, segment_rows: int) -> bool:
    numbers, counters = segments_of(entry.counters, segment_rows), entry.counters
    return len(numbers) == len(entry.segments) and all(
        segment.file == segment_file(entry.lane, number)
        and segment.is_sealed == ((number + 1) * segment_rows < counters.head)
        # One that is linked was written when fewer rows had been evicted.
        and number * segment_rows <= segment.first_row <= max(counters.tail, number * segment_rows)
        for number, segment in zip(numbers, entry.segments, strict=True)
    )


def write_index(directory: Path, content: dict[str, Any]) -> None:
    """Write the JSON-ready `content` as the index of the snapshot in `directory`."""
    text = json.dumps({"sha256": _checksum(content), "content": content}, indent=1)
    (directory / INDEX_FILE).write_text(text, encoding="utf-8")


def read_index(directory: Path, sizes: Sizes) -> Index:
    """What was written of a replay of such observations and actions. Raises ValueError for anything else."""
    path = directory / INDEX_FILE
    if directory.is_symlink():
        raise ValueError(f"the replay index {path} is in a folder that is a link")
    try:
        index = json_text.parse_object(files.read(path, MOST_BYTES, follow=False))
        content, checksum = index["content"], index["sha256"]
        is_intact = checksum == _checksum(content)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"the replay index {path} is missing or damaged: {error!r:.160}") from None
    if not is_intact:
        raise ValueError(f"the replay index {path} is damaged: its checksum is not the recorded one")
    try:
        read = Index.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"the replay index {path} is damaged: {first_problem(error)}") from None
    if read.sizes != sizes:
        raise ValueError(f"the replay index {path} is of another task: its sizes are {read.sizes} and not {sizes}")
    return read


def _checksum(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
