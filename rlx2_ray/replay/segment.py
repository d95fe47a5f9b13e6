"""One stretch of a lane's rows as an Arrow IPC file, with its checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rlx2_ray.replay.columns import Columns


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


def read_segment(path: Path, sha256: str) -> Columns:
    """Returns the rows in `path`. Raises ValueError if they are not those that were written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"the replay segment {path} is missing") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"the replay segment {path} is damaged: its checksum is not the recorded one")
    batch = pa.ipc.open_file(pa.BufferReader(content)).get_batch(0)
    columns: list[Any] = [_from_arrow(batch.column(name)) for name in Columns._fields]
    return Columns(*columns)


def _to_arrow(column: NDArray[Any]) -> pa.Array:
    flat = pa.array(column.reshape(-1))
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, column.shape[1])


def _from_arrow(array: pa.Array) -> NDArray[Any]:
    if not pa.types.is_fixed_size_list(array.type):
        return np.asarray(array)
    return np.asarray(array.flatten()).reshape(len(array), array.type.list_size)
