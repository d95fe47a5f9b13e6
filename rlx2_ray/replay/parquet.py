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
from rlx2_ray.replay.columns import Columns, are_in_order, skip_rows
from rlx2_ray.replay.segment import read_segment
from rlx2_ray.replay.snapshot import read_indexes
from rlx2_ray.replay.snapshot_index import LaneEntry, Sizes
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
    entry: LaneEntry
    directory: Path  # that its segments are in
    segment_rows: int


Snapshot = list[SavedLane]  # by number


def write_parquet(root: Path, path: Path, metadata: Mapping[str, Any], sizes: Sizes) -> Contents:
    """Write all lanes saved below `root`, by however many shards, into the file `path`; its folder is made.

    `metadata`, JSON-ready, stands in the file under the key `METADATA`. The file appears whole or not at all. Raises
    ValueError where the snapshot is damaged or not of such sizes, and BadInput where the file cannot be written.
    """
    snapshot = _read_snapshot(root, sizes)
    schema = _schema(sizes).with_metadata({METADATA: json.dumps(metadata)})
    transitions = episodes = 0
    with (
        _replacing(path) as file,
        parquet.ParquetWriter(file, schema, compression="zstd", use_dictionary=REPEATING) as writer,
    ):
        for rows in _read_transitions(snapshot, sizes):
            writer.write_batch(_to_batch(rows, schema))
            transitions, episodes = transitions + len(rows.time), int(rows.episode[-1]) + 1
        if not _is_still_there(root, snapshot, sizes):  # a run that goes on removes old ones, shard by shard
            raise ValueError(f"the replay in {root} was removed while it was read")
    return Contents(transitions, episodes)


def _is_still_there(root: Path, snapshot: Snapshot, sizes: Sizes) -> bool:
    try:
        return _read_snapshot(root, sizes) == snapshot
    except ValueError:
        return False


def _read_snapshot(root: Path, sizes: Sizes) -> Snapshot:
    lanes = [
        SavedLane(entry, directory, index.segment_rows)
        for directory, index in read_indexes(root, sizes).items()
        for entry in index.lanes
    ]
    return sorted(lanes, key=lambda lane: lane.entry.lane)


def _read_transitions(snapshot: Snapshot, sizes: Sizes) -> Iterator[Transitions]:
    """At least one transition at a time. ValueError names a file that is missing, unreadable or damaged."""
    episode = 0
    for lane in snapshot:
        if not lane.entry.counters.size:
            continue
        count = 0
        for rows in _read_stretches(lane, sizes):
            transitions = _transitions(rows, lane.entry.lane, episode)
            episode += int(np.count_nonzero(rows.flag[:-1] == BOUNDARY))
            count += len(transitions.time)
            if len(transitions.time):
                yield transitions
        if count != lane.entry.counters.size:
            raise _disorder(lane)
        episode += 1


def _read_stretches(lane: SavedLane, sizes: Sizes) -> Iterator[Columns]:
    """The live rows of a lane, a segment at a time, each time after the last row of the time before.

    A transition needs the row after it, which may be in the next segment. The last row of all is a BOUNDARY.
    """
    last: Columns | None = None
    for segment in lane.entry.segments:
        _, count, evicted = lane.entry.rows_of(segment, lane.segment_rows)
        rows = read_segment(lane.directory / segment.file, segment.sha256, count, sizes)
        rows = skip_rows(rows, evicted)
        rows = rows if last is None else _join(last, rows)
        last = skip_rows(rows, len(rows.flag) - 1)
        is_pending = lane.entry.counters.is_open and segment == lane.entry.segments[-1]
        ended = len(rows.flag) - is_pending  # what follows is an observation without a transition before it that ended
        if not are_in_order(rows.flag[:ended], rows.time[:ended]):
            raise _disorder(lane)
        yield rows
    if last is None or last.flag != BOUNDARY:
        raise _disorder(lane)


def _disorder(lane: SavedLane) -> ValueError:
    return ValueError(f"the replay in {lane.directory} has rows of lane {lane.entry.lane} that are not in order")


def _join(first: Columns, second: Columns) -> Columns:
    pairs: list[Any] = list(zip(first, second, strict=True))
    return Columns(*map(np.concatenate, pairs))


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


def _schema(sizes: Sizes) -> pa.Schema:
    observation_size, action_size = sizes
    vectors = {
        "observation": observation_size,
        "action": action_size,
        "policy_action": action_size,
        "next_observation": observation_size,
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
