"""Snapshots that somebody altered, digests and all: refused and named, or as good as one that a replay wrote."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from rlx2_ray.replay.columns import Columns
from rlx2_ray.replay.parquet import write_parquet
from rlx2_ray.replay.snapshot import load, load_lanes, save, verify
from rlx2_ray.replay.snapshot_index import read_index
from tests.replay.streams import ACTION_SIZE, OBSERVATION_SIZE, FragmentSource, make_buffer
from tests.support.array_alterations import (
    altered_arrays,
    altered_tree,
    enlarge,
    make_device,
    make_pipe,
    restored,
    untouched,
)
from tests.support.checkpoints import alter_index, replace
from tests.support.fuzz import fuzz

SIZES = (OBSERVATION_SIZE, ACTION_SIZE)
SEGMENT_ROWS = 4
LAST = "lane0-segment000003.arrow"  # of four, the first of which is evicted


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Lane 0 with an ended episode and an open one, of which some rows are evicted, and lane 1 with an ended one."""
    buffer, source = make_buffer(100, lanes=2), FragmentSource()
    buffer.insert(source.make(9, "terminated"))
    save(buffer, tmp_path / "first", None, SEGMENT_ROWS)
    buffer.insert(source.make(5))
    buffer.insert(source.make(3, "truncated", lane=1))
    buffer.lanes[0].evict_oldest(5)
    save(buffer, tmp_path / "replay", tmp_path / "first", SEGMENT_ROWS)
    shutil.rmtree(tmp_path / "first")
    return tmp_path / "replay"


def refuse(snapshot: Path, words: str) -> None:
    """Every reader does."""
    for read in (
        lambda: load(snapshot, SIZES, 2),
        lambda: load_lanes(make_buffer(100), snapshot, lambda lane: True),
        lambda: verify(snapshot, SIZES),
        lambda: write_parquet(snapshot, snapshot.parent / "replay.parquet", {}, SIZES),
    ):
        with pytest.raises(ValueError, match=words) as error:
            read()
        assert len(str(error.value)) < 250 + 2 * len(str(snapshot))
    assert not (snapshot.parent / "replay.parquet").exists()


def test_snapshot_is_read_as_it_is(snapshot: Path) -> None:
    assert load(snapshot, SIZES, 2).size == 12
    verify(snapshot, SIZES)
    assert write_parquet(snapshot, snapshot.parent / "replay.parquet", {}, SIZES).transitions == 12


def counters(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda index: index["lanes"][0]["counters"].update(values)


def segment(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda index: index["lanes"][0]["segments"][-1].update(values)


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda index: index.update(action_size=300), r"is of another task: its sizes are \(2, 300\) and not \(2, 3\)"),
        (lambda index: index.update(observation_size=10**9), "is of another task"),
        (lambda index: index.update(action_size=0), "action_size should be greater"),
        (lambda index: index.update(action_size=3.0), "action_size should be a valid integer"),
        (lambda index: index.update(segment_rows=0), "segment_rows should be greater"),
        (lambda index: index.update(segment_rows=10**9), "segment_rows should be less"),
        (lambda index: index.update(generator={}), "generator not the state of a generator"),
        (lambda index: index["lanes"].append(index["lanes"][0]), "a lane stands there twice"),
        (lambda index: index["lanes"][0].update(lane=-1), r"lanes\.0\.lane should be greater"),
        (lambda index: index["lanes"][0].update(lane=2), "lane 2 has segments that are not those"),
        (lambda index: index.pop("lanes"), "no 'lanes'"),
        (counters(head=10**9), "lane 0 has counters that cannot be"),
        (counters(head=-1), "lane 0 has counters that cannot be"),
        (counters(tail=10**9, head=10**9 + 9), "lane 0 has segments that are not those"),
        (counters(tail="5"), "should be a valid integer"),
        (counters(rows=1), "lane 0 has counters that cannot be"),
        (counters(rows=10**12), "lane 0 has counters that cannot be"),
        (counters(size=99), "lane 0 has counters that cannot be"),
        (counters(is_open=False), "has 4 values and not 3"),
        (counters(next_time=2**63), "lane 0 has counters that cannot be"),
        (counters(x=1), "Unexpected keyword|Extra inputs"),
        (segment(file="/dev/zero"), "lane 0 has segments that are not those"),
        (segment(file="../lane0-segment000003.arrow"), "lane 0 has segments that are not those"),
        (segment(file="lane1-segment000000.arrow"), "lane 0 has segments that are not those"),
        (segment(first_row=13), "lane 0 has segments that are not those"),
        (segment(is_sealed=True), "lane 0 has segments that are not those"),
        (segment(sha256="x"), f"{LAST} is damaged: its checksum"),
    ],
)
def test_index_is_one_that_a_replay_writes(alter: Any, words: str, snapshot: Path) -> None:
    alter_index(snapshot, alter)
    refuse(snapshot, words)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"", b"[]", b"{}", b"\xff", b'{"content": 1, "sha256": 1}'])
def test_index_that_is_none(content: bytes, snapshot: Path) -> None:
    replace(snapshot / "index.json", content)
    refuse(snapshot, r"index\.json is ")


def rewritten(snapshot: Path, content: bytes, name: str = LAST) -> None:
    """Let a segment be this, and its digest that of it."""
    replace(snapshot / name, content)

    def alter(index: dict[str, Any]) -> None:
        for lane in index["lanes"]:
            for entry in lane["segments"]:
                if entry["file"] == name:
                    entry["sha256"] = hashlib.sha256(content).hexdigest()

    alter_index(snapshot, alter)


def columns_of(snapshot: Path, name: str = LAST) -> dict[str, NDArray[Any]]:
    batch = pa.ipc.open_file(pa.BufferReader((snapshot / name).read_bytes())).get_batch(0)
    return {field: np.stack(batch.column(field).to_numpy(zero_copy_only=False)).copy() for field in Columns._fields}


def arrow(columns: dict[str, NDArray[Any]], **options: Any) -> bytes:
    arrays = [
        pa.array(array)
        if array.ndim == 1
        else pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), *array.shape[1:])
        for array in columns.values()
    ]
    return written(pa.record_batch(arrays, names=list(columns)), **options)


def written(batch: pa.RecordBatch, times: int = 1, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for _ in range(times):
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def change(name: str, alter: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Path], bytes]:
    return lambda snapshot: arrow({**columns_of(snapshot), name: alter(columns_of(snapshot)[name])})


def first(value: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def alter(array: NDArray[Any]) -> NDArray[Any]:
        array.ravel()[0] = value
        return array

    return alter


def with_nulls(snapshot: Path) -> bytes:
    columns = columns_of(snapshot)
    batch = pa.ipc.open_file(pa.BufferReader((snapshot / LAST).read_bytes())).get_batch(0)
    reward = pa.array(columns["reward"], mask=np.ones(len(columns["reward"]), np.bool_))
    return written(batch.set_column(3, "reward", reward))


def bomb(snapshot: Path) -> bytes:
    """Small, and many times as large when it is unpacked."""
    rows = 10**6
    columns = {name: np.zeros((rows, *array.shape[1:]), array.dtype) for name, array in columns_of(snapshot).items()}
    return arrow(columns, compression="zstd")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (change("observation", lambda array: array.astype(np.float64)), "its numbers are not of the size"),
        (change("action", lambda array: np.ones((len(array), 300), np.float32)), "it has 1200 values and not 12"),
        (change("flag", lambda array: array.astype(np.int64)), "its numbers are not of the size"),
        (change("reward", first(np.nan)), "it has numbers that no replay has"),
        (change("observation", first(np.inf)), "it has numbers that no replay has"),
        (change("flag", first(9)), "it has numbers that no replay has"),
        (change("flag", lambda array: np.full_like(array, 3)), "that are not in order"),
        (change("flag", lambda array: np.zeros_like(array)), "that are not in order"),
        (change("time", lambda array: array[::-1].copy()), "that are not in order"),
        (
            lambda snapshot: arrow({name: rows[1:] for name, rows in columns_of(snapshot).items()}),
            "has 3 values and not 4",
        ),
        (lambda snapshot: arrow(dict(list(columns_of(snapshot).items())[:-1])), "it has 0 values and not 4"),
        (lambda snapshot: arrow(columns_of(snapshot), compression="lz4"), "its rows are not plain numbers"),
        (bomb, "its rows are not plain numbers|more than"),
        (with_nulls, "it lacks values"),
        (lambda snapshot: b"", "it is no Arrow file"),
        (lambda snapshot: b"ARROW1\0\0" + b"\xff" * 100, r"segment000003\.arrow is damaged"),
        (lambda snapshot: b"x" * 10**6, r"cannot be read: 1000000 bytes, more than"),
    ],
)
def test_segment_is_one_that_a_replay_writes(make: Callable[[Path], bytes], words: str, snapshot: Path) -> None:
    rewritten(snapshot, make(snapshot))
    refuse(snapshot, words)


def make_link(path: Path) -> None:
    path.rename(path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


@pytest.mark.parametrize("alter", [enlarge, make_device, make_pipe, make_link])
@pytest.mark.parametrize("name", [LAST, "index.json"])
def test_only_regular_files_of_some_size_are_read(name: str, alter: Callable[[Path], None], snapshot: Path) -> None:
    alter(snapshot / name)
    refuse(snapshot, name)


def test_folder_that_is_a_link_is_not_read(snapshot: Path) -> None:
    folder = snapshot.with_name("moved")
    snapshot.rename(folder)
    snapshot.symlink_to(folder)
    refuse(snapshot, "link")


def test_lane_of_two_shards_is_refused(snapshot: Path) -> None:
    for shard in ("shard0", "shard1"):
        shutil.copytree(snapshot, snapshot.parent / "shards" / shard)
    with pytest.raises(ValueError, match="has a lane twice"):
        load_lanes(make_buffer(100), snapshot.parent / "shards", lambda lane: True)


def test_buffer_holds_no_more_than_its_capacity(snapshot: Path) -> None:
    alter_index(snapshot, lambda index: index.update(capacity=5))
    with pytest.raises(ValueError, match="holds more than its capacity"):
        load(snapshot, SIZES, 2)


@pytest.mark.parametrize("lanes", [1, 3])
def test_lanes_are_those_of_the_environments(lanes: int, snapshot: Path) -> None:
    with pytest.raises(ValueError, match=f"has 2 lanes, and not those of {lanes} environments"):
        load(snapshot, SIZES, lanes)


def check_refused_or_usable(snapshot: Path) -> None:
    with untouched(snapshot):
        try:
            buffer = load(snapshot, SIZES, 2)
        except ValueError:
            with suppress(ValueError):  # an export takes any lanes
                write_parquet(snapshot, snapshot.parent / "replay.parquet", {}, SIZES)
            return
        contents = write_parquet(snapshot, snapshot.parent / "replay.parquet", {}, SIZES)
    buffer.check_valid()
    assert contents.transitions == buffer.size
    if buffer.size:
        assert all(np.isfinite(array).all() for array in buffer.sample(8, 3, True))
    source = FragmentSource()
    source.time = 10**6
    for _ in range(3):
        buffer.insert(source.make(7))
    buffer.check_valid()


@fuzz
def test_any_alteration_of_the_index_is_refused_or_usable(data: st.DataObject, snapshot: Path) -> None:
    index = snapshot / "index.json"
    content = data.draw(altered_tree(json.loads(index.read_bytes())["content"]))
    with restored(index):
        alter_index(snapshot, lambda index: (index.clear(), index.update(content)))
        check_refused_or_usable(snapshot)


@fuzz
def test_any_alteration_of_a_segment_is_refused_or_usable(data: st.DataObject, snapshot: Path) -> None:
    if data.draw(st.booleans()):
        try:
            content = arrow(data.draw(altered_arrays(columns_of(snapshot))))
        except (ValueError, TypeError, NotImplementedError):  # nothing that Arrow can write
            return
    else:
        content = bytearray((snapshot / LAST).read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    with restored(snapshot / "index.json", snapshot / LAST):
        rewritten(snapshot, bytes(content))
        check_refused_or_usable(snapshot)


def test_index_has_no_more_than_was_written(snapshot: Path) -> None:
    assert [entry.counters.size for entry in read_index(snapshot, SIZES).lanes] == [9, 3]
