"""Archived runs that somebody altered, with their digests made anew: a run, or one sentence, in little memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from pyarrow import parquet

from rlx2_ray.report.archive.tasks import read_archive
from rlx2_ray.runs import archive, pages
from rlx2_ray.runs.archived_run import parse, read
from tests.support.archives import made_runs, write_archive
from tests.support.commands import refused as command_refused
from tests.support.forged import altered, broken, refused, result_or_sentence
from tests.support.fuzz import fuzz
from tests.support.runs import environment

HERE = Path("here")
Head = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive") / "runs", made_runs(["static"]))


@pytest.fixture
def file(folder: Path) -> Path:
    (found,) = archive.list_runs(folder)
    return found


def parts_of(content: bytes) -> tuple[pa.Table, Head]:
    opened = parquet.ParquetFile(io.BytesIO(content))
    return opened.read(), json.loads(opened.metadata.metadata[b"rlx2.run"])


def forge(table: pa.Table, head: Any, **options: Any) -> bytes:
    """A file with the digest that it should have."""
    if isinstance(head, dict):
        head = {key: value for key, value in head.items() if key != "sha256"}
        points = [{name: value for name, value in row.items() if value is not None} for row in rows_of(table)]
        canonical = json.dumps([head, points], sort_keys=True, separators=(",", ":"), default=str)
        head["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    file = io.BytesIO()
    usual = {"compression": "zstd", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    with parquet.ParquetWriter(file, table.schema, **(usual | options)) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"rlx2.run": json.dumps(head).encode()})
    return file.getvalue()


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    return table.to_pylist() if table.num_rows < 10_000 else []


def with_column(name: str, values: Any) -> Callable[[pa.Table, Head], tuple[pa.Table, Head]]:
    def change(table: pa.Table, head: Head) -> tuple[pa.Table, Head]:
        column = pa.array(np.resize(values, table.num_rows).tolist() if not isinstance(values, pa.Array) else values)
        place = table.column_names.index(name) if name in table.column_names else None
        changed = table.append_column(name, column) if place is None else table.set_column(place, name, column)
        return changed, head

    return change


def with_head(**values: Any) -> Callable[[pa.Table, Head], tuple[pa.Table, Head]]:
    return lambda table, head: (table, head | values)


def with_result(**values: Any) -> Callable[[pa.Table, Head], tuple[pa.Table, Head]]:
    return lambda table, head: (table, head | {"result": head["result"] | values})


def without_result(key: str) -> Callable[[pa.Table, Head], tuple[pa.Table, Head]]:
    return lambda table, head: (table, head | {"result": {k: v for k, v in head["result"].items() if k != key}})


ALTERATIONS: dict[str, Callable[[pa.Table, Head], tuple[pa.Table, Head]]] = {
    "texts for returns": with_column("return_mean", np.array(["a"])),
    "returns that are no numbers": with_column("return_mean", np.array([np.nan])),
    "infinite returns": with_column("return_mean", np.array([np.inf])),
    "steps that go back": with_column("env_steps", np.array([5, 4])),
    "negative steps": with_column("env_steps", np.array([-1])),
    "steps that are no whole numbers": with_column("env_steps", np.array([1.5])),
    "no steps": lambda table, head: (table.drop_columns(["env_steps"]), head),
    "a column of lists": with_column("more", np.array([0.5])),
    "truths": with_column("more", np.array([True])),
    "two row groups": lambda table, head: (pa.concat_tables([table, table]), head),
    "a score that is a text": with_result(score="1e9"),
    "a score that is no number": with_result(score=float("nan")),
    "no score": without_result("score"),
    "versions that are a list": with_result(versions=["x"]),
    "a deployed score that is none": with_result(deployed={"return_mean": "much"}),
    "another format": with_head(format=2),
    "a format of a megabyte": with_head(format="x" * 100_000),
    "a result that is a list": with_head(result=[1]),
    "a configuration that is none": with_head(config=[1]),
    "a key that configurations lack": with_head(config={"evil": 1}),
    "a size beyond all memory": with_head(config={"network": {"hidden": [10**12]}}),
    "no configuration": lambda table, head: (table, {"format": 1, "result": head["result"]}),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_run_is_refused_with_its_name(name: str, file: Path) -> None:
    options = {"row_group_size": 2} if name == "two row groups" else {}
    table, head = ALTERATIONS[name](*parts_of(file.read_bytes()))
    if name == "a column of lists":
        table = with_column("more", pa.array([[1.0]] * table.num_rows))(table.drop_columns(["more"]), head)[0]
    content = forge(table, head) if not options else forge_in_groups(table, head)
    assert refused(lambda: parse(content, HERE)).startswith("here ")


def forge_in_groups(table: pa.Table, head: Head) -> bytes:
    file = io.BytesIO()
    with parquet.ParquetWriter(file, table.schema, use_dictionary=False, store_schema=False) as writer:
        for start in range(0, table.num_rows, table.num_rows // 2):
            writer.write_table(table.slice(start, table.num_rows // 2))
        writer.add_key_value_metadata({b"rlx2.run": json.dumps(head).encode()})
    return file.getvalue()


def test_what_is_altered_is_taken_where_nothing_is(file: Path) -> None:
    assert parse(forge(*parts_of(file.read_bytes())), HERE).result == read(file).result


def bomb(rows: int, head: Head) -> bytes:
    """A small file of many rows."""
    return forge(pa.table({"return_mean": np.zeros(rows)}), head)


def page_bomb(content: bytes) -> bytes:
    """The file whose first page says that it becomes two gigabytes, which its footer does not say."""
    chunk = parquet.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    start = chunk.data_page_offset
    header = content[start : start + 40]
    assert header[:3] == b"\x15\x00\x15", "its kind, and then its size"
    size_ends = start + 3 + next(place for place, byte in enumerate(header[3:]) if byte < 128) + 1
    size = b"\xfe\xff\xff\xff\x0f"  # 2 ** 31 - 1, in the protocol's way
    width = size_ends - start - 3
    return content[: start + 3] + size[:0] + _padded(size, width) + content[size_ends:]


def _padded(size: bytes, width: int) -> bytes:
    """As large a number as has that many bytes, so that nothing else moves."""
    return size if width == len(size) else b"\xfe" + b"\xff" * (width - 2) + b"\x7f" if width > 1 else b"\x7e"


IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from rlx2_ray.runs.archived_run import read
from rlx2_ray.types import BadInput
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read(Path(sys.argv[1]))
except BadInput as problem:
    print(problem)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_hundred_million_rows_are_not_read(file: Path, tmp_path: Path) -> None:
    _, head = parts_of(file.read_bytes())
    path = tmp_path / "bomb.parquet"
    path.write_bytes(bomb(10**8, head))
    assert path.stat().st_size < 2**20
    done = subprocess.run(
        [sys.executable, "-c", IN_LITTLE_MEMORY, path], capture_output=True, text=True, env=environment(), timeout=60
    )
    said, grown = done.stdout.splitlines()
    assert said.startswith(f"{path} is damaged (it has 100000000 rows of 1 columns)"), done.stderr
    assert int(grown) < 100, "megabytes"


def test_page_that_becomes_larger_than_its_file_says_is_not_read(file: Path) -> None:
    assert "a column becomes" in refused(lambda: parse(page_bomb(file.read_bytes()), HERE))


def test_columns_are_those_that_pyarrow_finds(file: Path) -> None:
    content = file.read_bytes()
    metadata = parquet.ParquetFile(io.BytesIO(content)).metadata
    (found,) = pages.chunks(content)
    assert len(found) == metadata.num_columns
    for number, chunk in enumerate(found):
        expected = metadata.row_group(0).column(number)
        assert (chunk.values, chunk.start) == (expected.num_values, expected.data_page_offset)
        assert (chunk.length, len(chunk.encodings)) == (expected.total_compressed_size, len(expected.encodings))
        size = pages.decompressed(content, chunk)
        assert expected.total_uncompressed_size - 100 < size < expected.total_uncompressed_size, "without headers"


FLIPPED = """
import sys
from pathlib import Path
from rlx2_ray.runs.archived_run import parse
from rlx2_ray.types import BadInput
file = Path(sys.argv[1])
content = file.read_bytes()
size = int.from_bytes(content[-8:-4], "little")
for place in range(len(content) - 8 - size, len(content) - 8, 3):
    flipped = bytearray(content)
    flipped[place] ^= 1
    try:
        parse(bytes(flipped), file)
    except BadInput:
        pass
"""


def test_no_footer_ends_the_process(file: Path) -> None:
    """Some of pyarrow's properties do, of columns whose statistics are not of the sizes that they say."""
    command = [sys.executable, "-c", FLIPPED, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr


def test_long_file_and_pipe_are_refused(tmp_path: Path) -> None:
    long, pipe = tmp_path / "long.parquet", tmp_path / "pipe.parquet"
    with long.open("wb") as opened:
        opened.truncate(2**40)
    os.mkfifo(pipe)
    for path in (long, pipe):
        assert f"{path} cannot be read" in refused(lambda path=path: read(path))  # type: ignore[misc]


def test_report_names_the_file_whose_name_is_another_run(folder: Path, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "Ant-v5-td3-static-s0-0123456789abcdef.parquet"
    other.write_bytes(file.read_bytes())
    assert f"{other} is not named as 'rlx2 archive' names" in refused(lambda: read_archive(tmp_path))


def test_report_names_the_one_bad_file(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_archive(tmp_path / "runs", made_runs(["dense", "set"]))
    victim = archive.list_runs(tmp_path / "runs")[3]
    table, head = parts_of(victim.read_bytes())
    victim.write_bytes(forge(table, head | {"result": {}}))
    assert f"{victim} is damaged (no 'env_id')" in command_refused(capsys, "report", tmp_path / "runs")


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "results" / "runs").glob("*.parquet"))[:10])
def test_runs_of_record_are_read(path: Path) -> None:
    assert archive.read_named(path).result["env_steps"] > 0


@fuzz
def test_altered_run_is_a_run_or_one_sentence(data: st.DataObject, folder: Path, file: Path) -> None:
    content = forged(data.draw, file.read_bytes())
    with result_or_sentence(folder):
        run = parse(content, HERE)
        assert np.isfinite(run.result["score"])
        assert all(np.isfinite(point["return_mean"]) for point in run.points)


def forged(draw: st.DrawFn, content: bytes) -> bytes:
    kind = draw(st.sampled_from(["bytes", "head", "head", "table", "table"]))
    if kind == "bytes":
        return broken(draw, content)
    table, head = parts_of(content)
    if kind == "head":
        try:
            return forge(table, altered(draw, head))
        except (ValueError, UnicodeEncodeError):
            return content
    name = draw(st.sampled_from([*table.column_names, "more"]))
    values = draw(
        st.sampled_from(
            [
                np.array(["x"]),
                np.array([True, False]),
                np.array([1.5, np.nan]),
                np.array([2**62, -1]),
                np.array([0], np.float32),
                np.array([np.inf]),
                np.arange(1000),
            ]
        )
    )
    options = draw(st.sampled_from([{}, {"use_dictionary": True}, {"compression": "none"}, {"store_schema": True}]))
    changed, head = with_column(name, values)(table, head)
    if draw(st.booleans()):
        changed = changed.take(np.array(draw(st.lists(st.integers(0, table.num_rows - 1), max_size=50)), np.int64))
    return forge(changed, head, **options)
