"""One finished run as one small Parquet file: a row an evaluation; configuration and result as JSON in its metadata.

Steps are whole numbers. Returns and times, which scores and tables are made of, keep all their digits; other metrics
have those of a 32-bit float. A digest of all of it tells a damaged or edited file from a good one.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from rlx2_ray import files, json_text
from rlx2_ray.config import ExperimentConfig, Tree, resolve_stored
from rlx2_ray.runs import pages, parts
from rlx2_ray.runs.directory import describe_evaluations
from rlx2_ray.runs.parts import Point
from rlx2_ray.types import BadInput, Damaged, cut

FORMAT = 1
# Bounds of a file; runs of record have 20 kB, 200 rows and 25 columns, and a row takes a kilobyte when it is read.
MOST_BYTES = 2**25
MOST_COLUMNS = 1_000
MOST_VALUES = 2_000_000
MOST_METADATA = 2**20  # bytes
LONGEST_PROBLEM = 200  # characters
ENCODINGS = {0, 3}  # plain, and run lengths of what is missing
KINDS = {"INT64", "FLOAT", "DOUBLE"}
METADATA = b"rlx2.run"  # key of the file's metadata; its value is a JSON object
EVALUATIONS = "evaluations"  # key of the result
NEEDED = {"env_steps", "return_mean", "return_std"}  # in every point
EXACT = ("return_mean", "return_std", "wall_s")  # 64-bit
UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError)  # the last of a damaged name of a column
LARGEST_SINGLE = float(np.finfo(np.float32).max)


class ArchivedRun(NamedTuple):
    """`config` is the one the run had, with today's defaults for keys that have come since."""

    config: ExperimentConfig
    result: Tree  # of result.json; its checkpoint, which was on the machine that it ran on, is None
    points: list[Point]  # of progress.jsonl


def to_bytes(config: Tree, result: Tree, points: Sequence[Point], source: Path) -> bytes:
    """The file of a run, from its resolved configuration. Raises BadInput, which names `source`, where it is none."""
    _check(result, points, source)
    table = _table(points)
    if table.num_columns > MOST_COLUMNS or table.num_rows * table.num_columns > MOST_VALUES:
        raise BadInput(f"{source} has {table.num_rows} evaluations of {table.num_columns} metrics, too many.")
    # Evaluations are the rows, and a checkpoint is not in the file.
    kept = {key: value for key, value in result.items() if key != EVALUATIONS} | {"checkpoint": None}
    head = {"format": FORMAT, "config": config, "result": kept}
    head["sha256"] = _digest(head, _points(table))
    file = io.BytesIO()
    with parquet.ParquetWriter(
        # Few rows, each value unlike the one before: dictionaries, statistics and a second schema only take room.
        *(file, table.schema),
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({METADATA: json.dumps(head).encode()})
    return file.getvalue()


def read(file: Path) -> ArchivedRun:
    """Read a file. Raises BadInput where it is no archived run, or not as it was written."""
    return parse(_content(file), file)


def read_config(file: Path) -> ExperimentConfig:
    """Read the configuration alone. Raises BadInput where the file is no archived run."""
    return _config(_open(_content(file), file)[1], file)


def parse(content: bytes, file: Path) -> ArchivedRun:
    """Do as `read` with the content of `file`, which errors name."""
    opened, head = _open(content, file)
    try:
        _check_sizes(opened.metadata, content)
        points = _points(opened.read(use_threads=False))
        if head.pop("sha256", None) != _digest(head, points):
            raise BadInput(f"{file} is not as it was written: restore it from a copy.")
        evaluations = describe_evaluations(map(parts.check_point, points))
        result = parts.check_result({**head["result"], EVALUATIONS: evaluations})
        if any(one["env_steps"] >= other["env_steps"] for one, other in pairwise(points)):
            raise ValueError("the evaluations do not follow one another")
    except (ValueError, *UNREADABLE) as error:
        raise BadInput(f"{file} is damaged ({_words(error)}): restore it from a copy.") from None
    return ArchivedRun(_config(head, file), result, points)


def is_same(one: ArchivedRun, other: ArchivedRun) -> bool:
    """Whether two runs of one configuration are the same run, which MLflow may have got to know since."""
    first, second = ({**run.result, "mlflow_run_id": None} for run in (one, other))
    return _digest(first, one.points) == _digest(second, other.points)


def _content(file: Path) -> bytes:
    try:
        return files.read(file, MOST_BYTES)
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({_words(error)}): make it readable.") from None


def _open(content: bytes, file: Path) -> tuple[parquet.ParquetFile, Tree]:
    """With the JSON object in its metadata."""
    limits = {"thrift_string_size_limit": MOST_METADATA, "thrift_container_size_limit": MOST_COLUMNS + 1}
    try:
        opened = parquet.ParquetFile(io.BytesIO(content), **limits)
    except UNREADABLE as error:
        raise BadInput(f"{file} is no Parquet file, or damaged ({_words(error)}): restore it from a copy.") from None
    metadata = opened.metadata.metadata or {}
    if METADATA not in metadata:
        raise BadInput(f"{file} is no run that 'rlx2 archive' wrote: move it elsewhere.")
    return opened, _parse(metadata[METADATA], file)


def _check_sizes(metadata: parquet.FileMetaData, content: bytes) -> None:
    """Raises ValueError where the file holds more than such a file does, or another kind of column."""
    rows, columns = metadata.num_rows, metadata.num_columns
    if columns > MOST_COLUMNS or not 0 <= rows <= MOST_VALUES // max(columns, 1) or metadata.num_row_groups > 1:
        raise ValueError(f"it has {rows} rows of {columns} columns")
    for number in range(columns):
        kind = metadata.schema.column(number)
        if kind.physical_type not in KINDS or kind.max_repetition_level or kind.path != kind.name:
            raise ValueError(f"its column {kind.path[:60]!r} is of {kind.physical_type}")
    groups = pages.chunks(content)
    if len(groups) != metadata.num_row_groups or any(len(group) != columns for group in groups):
        raise ValueError("its columns are not those that it says")
    for group in groups:
        for chunk in group:
            _check_chunk(chunk, content, rows)


def _check_chunk(chunk: pages.Chunk, content: bytes, rows: int) -> None:
    if chunk.values != rows:
        raise ValueError("a column is not as long as the file")
    if not chunk.encodings <= ENCODINGS:
        raise ValueError("a column is stored in another way")
    size = pages.decompressed(content, chunk)
    if size > 9 * rows + 1024:  # eight bytes a value, and what says where one is missing
        raise ValueError(f"a column becomes {size} bytes")


def _parse(text: bytes, file: Path) -> Tree:
    try:
        head = json_text.parse_object(text)
        version = head["format"]
        if not (isinstance(head["config"], dict) and isinstance(head["result"], dict)):
            raise ValueError("no keys and values")
    except (ValueError, KeyError):
        raise BadInput(f"{file} is damaged (its metadata is not readable): restore it from a copy.") from None
    if version != FORMAT:
        raise BadInput(
            f"{file} has format {str(version)[:60]}, and this version reads {FORMAT}: use the one that wrote it."
        )
    return head


def _config(head: Tree, file: Path) -> ExperimentConfig:
    try:
        return resolve_stored(head["config"])
    except BadInput as problem:
        reason = cut(" ".join(str(problem).split()), LONGEST_PROBLEM)
        raise BadInput(f"{file} has a configuration that this version does not know: {reason}") from None


def _words(error: Exception) -> str:
    return cut(" ".join(str(getattr(error, "strerror", None) or error).split()).rstrip("."), LONGEST_PROBLEM)


def _digest(head: Tree, points: Sequence[Point]) -> str:
    canonical = json.dumps([head, list(points)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check(result: Tree, points: Sequence[Point], source: Path) -> None:
    for number, point in enumerate(points, start=1):
        if not _is_evaluation(point):
            raise Damaged(f"{source / 'progress.jsonl'} has no evaluation in line {number}: restore it from a copy.")
    if json.dumps(result.get(EVALUATIONS)) != json.dumps(describe_evaluations(points)):
        raise Damaged(f"{source} has other evaluations in result.json than in progress.jsonl: restore a copy.")


def _is_evaluation(point: object) -> bool:
    return isinstance(point, dict) and point.keys() >= NEEDED and all(map(_is_number, point.values()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _table(points: Sequence[Point]) -> pa.Table:
    names = dict.fromkeys(name for point in points for name in point)
    return pa.table({name: _column(name, [point.get(name) for point in points]) for name in names})


def _column(name: str, values: Sequence[float | None]) -> pa.Array:
    there = [value for value in values if value is not None]
    if all(isinstance(value, int) for value in there):
        return pa.array(values, pa.int64())
    fits = all(abs(value) <= LARGEST_SINGLE for value in there if math.isfinite(value))
    kind = pa.float32() if fits and name not in EXACT else pa.float64()
    return pa.array([None if value is None else float(value) for value in values], kind)


def _points(table: pa.Table) -> list[Point]:
    """A metric that a point did not have is not in it."""
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
