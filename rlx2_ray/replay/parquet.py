"""A replay snapshot as one Parquet file for offline use: a row a transition, each whole in itself.

The rows go lane by lane, and in a lane by age, so that those of an episode stand together and in order. They are read
and written a segment at a time, which bounds the memory whatever the replay holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from rlx2_ray import files
from rlx2_ray.kernels.windows import BOUNDARY, TERMINATED, TRUNCATED
from rlx2_ray.replay.columns import Columns, map_columns
from rlx2_ray.replay.lane import LaneCounters
from rlx2_ray.replay.segment import read_segment
from rlx2_ray.replay.snapshot import SegmentEntry, snapshot_directories
from rlx2_ray.replay.snapshot_index import read_index
from rlx2_ray.types import BadInput, Bools, Floats, Indices

METADATA = "rlx2"  # key of the file's own metadata, a JSON object
REPEATING = ["episode", "lane"]  # only these columns have so few values that a dictionary of them pays


class Transitions(NamedTuple):
    """T transitions of one lane, by age: the columns of the file.

    An episode whose newest transition is neither terminated nor truncated goes on. Its beginning may be missing, where
    it was forgotten or lost with a process that died; what came before such a gap is truncated.
    """

    observation: Floats  # (T, observation_size)
    action: Floats  # (T, action_size), in [-1, 1], as executed
    policy_action: Floats  # (T, action_size), noise-free action at collection
    reward: Floats  # (T,)
    next_observation: Floats  # (T, observation_size), the final one where the episode ended
    terminated: Bools  # (T,), the next observation is of a terminal state
    truncated: Bools  # (T,), the episode was cut short after this transition
    episode: Indices  # (T,), numbered from 0 through the file
    lane: NDArray[np.int32]  # (T,), environment instance
    time: Indices  # (T,), env steps taken by the whole run before this transition


class Contents(NamedTuple):
    """What a file holds."""

    transitions: int
    episodes: int


class SavedLane(NamedTuple):
    number: int
    directory: Path  # that its segments are in
    counters: LaneCounters
    segments: list[SegmentEntry]


class Snapshot(NamedTuple):
    observation_size: int
    action_size: int
    lanes: list[SavedLane]  # by number


def write_parquet(root: Path, path: Path, metadata: Mapping[str, Any]) -> Contents:
    """Write all lanes saved below `root`, by however many shards, into the file `path`; its folder is made.

    `metadata`, JSON-ready, stands in the file under the key `METADATA`. The file appears whole or not at all. Raises
    ValueError or OSError where the snapshot is damaged, and BadInput where the file cannot be written.
    """
    snapshot = _read_snapshot(root)
    schema = _schema(snapshot).with_metadata({METADATA: json.dumps(metadata)})
    transitions = episodes = 0
    with (
        _replacing(path) as file,
        parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=REPEATING) as writer,
    ):
        for rows in _read_transitions(snapshot):
            writer.write_batch(_to_batch(rows, schema))
            transitions, episodes = transitions + len(rows.time), int(rows.episode[-1]) + 1
        if not _is_still_there(root, snapshot):  # a run that goes on removes old ones, shard by shard
            raise ValueError(f"the replay in {root} was removed while it was read")
    return Contents(transitions, episodes)


def _is_still_there(root: Path, snapshot: Snapshot) -> bool:
    try:
        return _read_snapshot(root) == snapshot
    except ValueError:
        return False


def _read_snapshot(root: Path) -> Snapshot:
    indexes = {directory: read_index(directory) for directory in snapshot_directories(root)}
    if not indexes:
        raise ValueError(f"there is no replay snapshot in {root}")
    lanes = [_saved_lane(directory, entry) for directory, content in indexes.items() for entry in content["lanes"]]
    content = next(iter(indexes.values()))
    return Snapshot(content["observation_size"], content["action_size"], sorted(lanes, key=lambda lane: lane.number))


def _saved_lane(directory: Path, entry: dict[str, Any]) -> SavedLane:
    segments = [SegmentEntry(**fields) for fields in entry["segments"]]
    return SavedLane(entry["lane"], directory, LaneCounters(**entry["counters"]), segments)


def _read_transitions(snapshot: Snapshot) -> Iterator[Transitions]:
    """At least one transition at a time. ValueError names a file that is missing, unreadable or damaged."""
    episode = 0
    for lane in snapshot.lanes:
        if not lane.counters.size:
            continue
        for rows in _read_stretches(lane):
            transitions = _transitions(rows, lane.number, episode)
            episode += int(np.count_nonzero(rows.flag[:-1] == BOUNDARY))
            if len(transitions.time):
                yield transitions
        episode += 1


def _read_stretches(lane: SavedLane) -> Iterator[Columns]:
    """The live rows of a lane, a segment at a time, each time after the last row of the time before.

    A transition needs the row after it, which may be in the next segment. The last row of all is a BOUNDARY.
    """
    last: Columns | None = None
    for segment in lane.segments:
        rows = _read_segment(lane, segment)
        rows = rows if last is None else _join(last, rows)
        last = map_columns(lambda column: column[-1:], rows)
        yield rows


def _join(first: Columns, second: Columns) -> Columns:
    pairs: list[Any] = list(zip(first, second, strict=True))
    return Columns(*map(np.concatenate, pairs))


def _read_segment(lane: SavedLane, segment: SegmentEntry) -> Columns:
    """Those of its rows that are still live."""
    evicted = max(0, lane.counters.tail - segment.first_row)
    try:
        rows = read_segment(lane.directory / segment.file, segment.sha256)
    except OSError as error:  # not to be taken for one of the file that is written
        raise ValueError(f"the replay segment {segment.file} cannot be read: {error.strerror}") from None
    return map_columns(lambda column: column[evicted:], rows)


def _transitions(rows: Columns, lane: int, episode: int) -> Transitions:
    """Those among all but the last of `rows`; `episode` is the number of the first."""
    is_boundary = rows.flag[:-1] == BOUNDARY
    places = np.flatnonzero(~is_boundary)
    flag = rows.flag[places]
    return Transitions(
        observation=rows.observation[places],
        action=rows.action[places],
        policy_action=rows.policy_action[places],
        reward=rows.reward[places],
        next_observation=rows.observation[places + 1],
        terminated=flag == TERMINATED,
        truncated=flag == TRUNCATED,
        episode=episode + np.cumsum(is_boundary)[places],
        lane=np.full(len(places), lane, np.int32),
        time=rows.time[places],
    )


def _schema(snapshot: Snapshot) -> pa.Schema:
    vectors = {
        "observation": snapshot.observation_size,
        "action": snapshot.action_size,
        "policy_action": snapshot.action_size,
        "next_observation": snapshot.observation_size,
    }
    numbers = {
        "reward": pa.float32(),
        "terminated": pa.bool_(),
        "truncated": pa.bool_(),
        "episode": pa.int64(),
        "lane": pa.int32(),
        "time": pa.int64(),
    }
    types = numbers | {name: pa.list_(pa.float32(), size) for name, size in vectors.items()}
    return pa.schema([pa.field(name, types[name], nullable=False) for name in Transitions._fields])


def _to_batch(transitions: Transitions, schema: pa.Schema) -> pa.RecordBatch:
    columns: tuple[NDArray[Any], ...] = transitions
    arrays = [_to_arrow(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _to_arrow(column: NDArray[Any], kind: pa.DataType) -> pa.Array:
    flat = pa.array(column.reshape(-1))
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, type=kind)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file aside, which takes the place of `path` at the end. Raises BadInput for any OSError."""
    if path.exists() and not path.is_file():
        raise BadInput(f"{path} cannot be written (it is no regular file): give another --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as file:
            yield file
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written ({error.strerror or error}): make room, or give another --out."
        ) from None
