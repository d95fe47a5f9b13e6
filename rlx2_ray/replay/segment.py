"""One stretch of a lane's rows as an Arrow IPC file, with its checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rlx2_ray import files
from rlx2_ray.kernels.windows import BOUNDARY
from rlx2_ray.replay.arrow_file import read_batch
from rlx2_ray.replay.columns import Columns, is_finite, make_ring
from rlx2_ray.replay.snapshot_index import Sizes

OVERHEAD = 1 << 16  # bytes of a file besides its numbers, and more than they ever are


def write_segment(path: Path, rows: Columns) -> str:
    """Write `rows` to the new file `path`; returns its SHA-256 in hexadecimal."""
    batch = pa.record_batch([_to_arrow(column) for column in rows], names=list(Columns._fields))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content = sink.getvalue()
    # "x": the path may be a hard link into another snapshot, which must never be written through.
    with path.open("xb") as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def read_segment(path: Path, sha256: str, count: int, sizes: Sizes) -> Columns:
    """The `count` rows in `path`, of a replay of such sizes. Raises ValueError if they are not those that were written.

    Its checksum may have been made by whoever altered it, so that alone says nothing.
    """
    empty = make_ring(0, *sizes).columns
    try:
        content = files.read(path, count * sum(map(_row_bytes, _listed(empty))) + OVERHEAD, follow=False)
    except FileNotFoundError:
        raise ValueError(f"the replay segment {path} is missing") from None
    except OSError as error:
        raise ValueError(f"the replay segment {path} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"the replay segment {path} is damaged: its checksum is not the recorded one")
    try:
        return _parse(content, count, empty)
    except ValueError as error:
        raise ValueError(f"the replay segment {path} is damaged: {error}") from None


def _parse(content: bytes, count: int, empty: Columns) -> Columns:
    """Raises ValueError where it is no segment of so many rows; `empty` has columns as theirs."""
    batch = read_batch(content)
    columns: list[Any] = [batch.next_numbers(column.dtype, count, *column.shape[1:]) for column in _listed(empty)]
    batch.check_end()
    rows = Columns(*columns)
    if not all(map(is_finite, columns)) or (rows.flag > BOUNDARY).any():
        raise ValueError("it has numbers that no replay has")
    return rows


def _listed(columns: Columns) -> list[NDArray[Any]]:
    return [getattr(columns, name) for name in Columns._fields]


def _row_bytes(column: NDArray[Any]) -> int:
    return column.itemsize * int(np.prod(column.shape[1:]))


def _to_arrow(column: NDArray[Any]) -> pa.Array:
    flat = pa.array(column.reshape(-1))
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, column.shape[1])
