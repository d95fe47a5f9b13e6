"""One stretch of a lane's rows as an Arrow IPC file, with its checksum."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rlx2_ray import files
from rlx2_ray.kernels.windows import BOUNDARY
from rlx2_ray.replay.columns import Columns, is_finite, make_ring
from rlx2_ray.replay.snapshot_index import Sizes

MAGIC = b"ARROW1\0\0"  # what a file begins with; a stream of messages follows
OVERHEAD = 1 << 16  # bytes of a file besides its numbers, and more than they ever are
# What Arrow raises, and what is raised here, where a file is none of ours.
UNREADABLE = (pa.ArrowException, ValueError, LookupError, TypeError, OSError, MemoryError, StopIteration, struct.error)
COMPRESSION = 3  # number of the field of a record batch (Arrow's format/Message.fbs)


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
        content = files.read(path, count * sum(_row_bytes(column) for column in empty) + OVERHEAD, follow=False)
    except FileNotFoundError:
        raise ValueError(f"the replay segment {path} is missing") from None
    except OSError as error:
        raise ValueError(f"the replay segment {path} cannot be read: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"the replay segment {path} is damaged: its checksum is not the recorded one")
    try:
        return _parse(content, count, empty)
    except UNREADABLE as error:
        words = " ".join(str(error).split()) or "it ends too soon"
        raise ValueError(f"the replay segment {path} is damaged: {words:.160}") from None


def _parse(content: bytes, count: int, empty: Columns) -> Columns:
    """Raises one of many errors where it is no segment of so many rows; `empty` has columns as theirs."""
    if not content.startswith(MAGIC):
        raise ValueError("it is no Arrow file")
    messages = pa.ipc.MessageReader.open_stream(pa.py_buffer(content)[len(MAGIC) :])
    schema = pa.ipc.read_schema(messages.read_next_message())
    types = {name: _to_arrow(getattr(empty, name)).type for name in Columns._fields}
    if schema.names != list(types) or any(schema.field(name).type != kind for name, kind in types.items()):
        raise ValueError("its columns are not those of this replay")
    message = messages.read_next_message()
    if message.type != "record batch" or _is_compressed(message.metadata.to_pybytes()):
        raise ValueError("its rows are not plain numbers")
    batch = pa.ipc.read_record_batch(message, schema)
    if batch.num_rows != count:
        raise ValueError(f"it has {batch.num_rows} rows and not {count}")
    batch.validate(full=True)
    columns: list[Any] = [_from_arrow(batch.column(name)) for name in Columns._fields]
    rows = Columns(*columns)
    if not all(map(is_finite, columns)) or (rows.flag > BOUNDARY).any():
        raise ValueError("it has numbers that no replay has")
    return rows


def _is_compressed(metadata: bytes) -> bool:
    """Whether a record batch says that its numbers are to be unpacked, to sizes that only unpacking tells."""

    def field(table: int, number: int) -> int:
        """The place of a table's field, 0 where it is not there."""
        layout = table - struct.unpack_from("<i", metadata, table)[0]
        (size,) = struct.unpack_from("<H", metadata, layout)
        entry = 4 + 2 * number
        offset = struct.unpack_from("<H", metadata, layout + entry)[0] if entry < size else 0
        return table + offset if offset else 0

    def target(place: int) -> int:
        return int(place + struct.unpack_from("<I", metadata, place)[0])

    return field(target(field(target(0), 2)), COMPRESSION) != 0


def _row_bytes(column: NDArray[Any]) -> int:
    return column.itemsize * int(np.prod(column.shape[1:]))


def _to_arrow(column: NDArray[Any]) -> pa.Array:
    flat = pa.array(column.reshape(-1))
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, column.shape[1])


def _from_arrow(array: pa.Array) -> NDArray[Any]:
    """Raises ValueError where some are missing."""
    if not pa.types.is_fixed_size_list(array.type):
        return array.to_numpy(zero_copy_only=True)  # type: ignore[no-any-return]
    if array.null_count:
        raise ValueError("it has rows without numbers")
    return _from_arrow(array.flatten()).reshape(len(array), array.type.list_size)
