"""The Parquet file of a replay: every live transition once, as the blackboard reference has it, or no file at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from rlx2_ray.replay import parquet as module
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.columns import Columns
from rlx2_ray.replay.parquet import METADATA, Contents, Transitions, write_parquet
from rlx2_ray.replay.segment import read_segment
from rlx2_ray.replay.snapshot import save
from rlx2_ray.types import BadInput
from tests.replay.reference import Episode, ReferenceBuffer
from tests.replay.streams import (
    ACTION_SIZE,
    LANES,
    OBSERVATION_SIZE,
    FragmentSource,
    Operation,
    make_buffer,
    operations,
    perform,
)
from tests.support.limits import files_no_larger_than

SEGMENT_ROWS = 4
SIZES = (OBSERVATION_SIZE, ACTION_SIZE)
Rows = list[dict[str, Any]]


def episode_rows(episode: Episode, number: int, lane: int) -> Rows:
    rows = [
        {
            "observation": transition.observation.tolist(),
            "action": transition.action.tolist(),
            "policy_action": transition.policy_action.tolist(),
            "reward": transition.reward,
            "next_observation": transition.next_observation.tolist(),
            "terminated": False,
            "truncated": False,
            "episode": number,
            "lane": lane,
            "time": transition.time,
        }
        for transition in episode.transitions
    ]
    rows[-1]["terminated"] = episode.is_terminated
    rows[-1]["truncated"] = not episode.is_terminated and not episode.is_open
    return rows


def reference_rows(reference: ReferenceBuffer) -> Rows:
    episodes = [
        (episode, lane) for lane, episodes in enumerate(reference.lanes) for episode in episodes if episode.transitions
    ]
    return [row for number, (episode, lane) in enumerate(episodes) for row in episode_rows(episode, number, lane)]


@settings(max_examples=150, deadline=None)
@given(st.lists(operations, min_size=1, max_size=3), st.integers(1, 60))
def test_rows_are_the_live_transitions_of_the_reference(parts: list[list[Operation]], capacity: int) -> None:
    """Of the last of a chain of snapshots, whose linked segments hold rows that were forgotten since."""
    buffer, reference, source = make_buffer(capacity), ReferenceBuffer(LANES, capacity), FragmentSource()
    previous = None
    with TemporaryDirectory() as folder:
        for number, part in enumerate(parts):
            for operation in part:
                perform(operation, source, buffer, reference)
            save(buffer, Path(folder) / str(number), previous, SEGMENT_ROWS)
            previous = Path(folder) / str(number)
        file = Path(folder) / "replay.parquet"
        contents = write_parquet(Path(folder) / str(len(parts) - 1), file, {}, SIZES)
        rows = parquet.read_table(file).to_pylist()
    assert rows == reference_rows(reference)
    assert contents == Contents(reference.size, len({row["episode"] for row in rows}))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Lanes 0 and 2 saved by one shard, lane 1 by another: two episodes and an open one each, 11 transitions."""
    source = FragmentSource()
    for shard, lanes in enumerate([(0, 2), (1,)]):
        buffer = ReplayBuffer(OBSERVATION_SIZE, ACTION_SIZE, lanes, 100, np.random.default_rng(0))
        for lane in lanes:
            for steps, ending in ((3, "terminated"), (6, "truncated"), (2, "open")):
                buffer.insert(source.make(steps, ending, lane))  # type: ignore[arg-type]
        save(buffer, tmp_path / "replay" / f"shard{shard}", None, SEGMENT_ROWS)
    return tmp_path / "replay"


def test_shards_are_joined_in_the_order_of_the_lanes(shards: Path, tmp_path: Path) -> None:
    file = tmp_path / "replay.parquet"
    assert write_parquet(shards, file, {}, SIZES) == Contents(33, 9)
    table = parquet.read_table(file)
    assert table["lane"].to_pylist() == [0] * 11 + [1] * 11 + [2] * 11
    assert table["episode"].to_pylist() == [
        number for lane in range(3) for number in np.repeat([0, 1, 2], [3, 6, 2]) + 3 * lane
    ]
    assert np.flatnonzero(table["terminated"]).tolist() == [2, 13, 24]
    assert np.flatnonzero(table["truncated"]).tolist() == [8, 19, 30]


def test_columns_are_typed_and_row_groups_are_small(shards: Path, tmp_path: Path) -> None:
    file = tmp_path / "replay.parquet"
    write_parquet(shards, file, {}, SIZES)
    observation, action = pa.list_(pa.float32(), OBSERVATION_SIZE), pa.list_(pa.float32(), ACTION_SIZE)
    numbers = [pa.bool_(), pa.bool_(), pa.int64(), pa.int32(), pa.int64()]
    types = [observation, action, action, pa.float32(), observation, *numbers]
    content = parquet.ParquetFile(file)
    assert content.schema_arrow.names == list(Transitions._fields)
    assert content.schema_arrow.types == types
    assert not any(field.nullable for field in content.schema_arrow)
    groups = [content.metadata.row_group(group) for group in range(content.num_row_groups)]
    # 14 rows a lane, BOUNDARY rows and all, in segments of 4; a segment's last row goes with the next.
    assert [group.num_rows for group in groups] == [3, 3, 3, 2] * LANES
    assert {group.column(0).compression for group in groups} == {"ZSTD"}


def test_metadata_is_one_json_object(shards: Path, tmp_path: Path) -> None:
    metadata = {"env_id": "Hopper-v5", "action_low": [-1.5, 0.1], "seed": 3}
    write_parquet(shards, tmp_path / "replay.parquet", metadata, SIZES)
    stored = parquet.read_schema(tmp_path / "replay.parquet").metadata
    assert json.loads(stored[METADATA.encode()]) == metadata


def test_empty_replay_is_a_file_without_rows(tmp_path: Path) -> None:
    save(make_buffer(10), tmp_path / "replay", None)
    assert write_parquet(tmp_path / "replay", tmp_path / "replay.parquet", {}, SIZES) == Contents(0, 0)
    table = parquet.read_table(tmp_path / "replay.parquet")
    assert (table.num_rows, table.column_names) == (0, list(Transitions._fields))
    assert table.schema.field("observation").type.list_size == OBSERVATION_SIZE


def remove_indexes(shards: Path) -> None:
    for path in shards.glob("*/index.json"):
        path.unlink()


def flip_last_segment(shards: Path) -> None:
    path = shards / "shard0" / "lane2-segment000003.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def make_segment_unreadable(shards: Path) -> None:
    path = shards / "shard1" / "lane1-segment000001.arrow"
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove_indexes, r"shard0/index\.json is missing"),
        (flip_last_segment, r"lane2-segment000003\.arrow is damaged"),
        (make_segment_unreadable, r"lane1-segment000001\.arrow cannot be read: Is a directory"),
    ],
)
def test_damage_is_named_and_leaves_what_was_there(damage: Any, words: str, shards: Path, tmp_path: Path) -> None:
    damage(shards)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "replay.parquet").write_text("from an earlier time")
    with pytest.raises(ValueError, match=words):
        write_parquet(shards, folder / "replay.parquet", {}, SIZES)
    assert [path.name for path in folder.iterdir()] == ["replay.parquet"]
    assert (folder / "replay.parquet").read_text() == "from an earlier time"


def test_snapshot_that_is_removed_meanwhile_is_no_file(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though all that was read before was good: what was removed first may never have been seen."""

    def read_then_remove(*segment: Any) -> Columns:
        rows = read_segment(*segment)
        (shards / "shard1" / "index.json").unlink(missing_ok=True)
        return rows

    monkeypatch.setattr(module, "read_segment", read_then_remove)
    with pytest.raises(ValueError, match="was removed while it was read"):
        write_parquet(shards, tmp_path / "replay.parquet", {}, SIZES)
    assert not list(tmp_path.glob("*.parquet*"))


def test_full_disk_is_named_and_leaves_what_was_there(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "replay.parquet").write_text("from an earlier time")
    with files_no_larger_than(1000), pytest.raises(BadInput) as refusal:
        write_parquet(shards, folder / "replay.parquet", {}, SIZES)
    assert str(refusal.value) == (
        f"{folder}/replay.parquet cannot be written (File too large): make room, or give another --out."
    )
    assert [path.name for path in folder.iterdir()] == ["replay.parquet"]
    assert (folder / "replay.parquet").read_text() == "from an earlier time"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_replaced(make: Any, shards: Path, tmp_path: Path) -> None:
    make(tmp_path / "out")
    mode = (tmp_path / "out").stat().st_mode
    with pytest.raises(BadInput, match=r"out cannot be written \(it is no regular file\)"):
        write_parquet(shards, tmp_path / "out", {}, SIZES)
    assert (tmp_path / "out").stat().st_mode == mode
