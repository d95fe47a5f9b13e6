"""The numbers of an Arrow IPC file of one record batch, read without trust in it.

Arrow's own reader believes what a file says of itself: altered bytes end the process, and a few compressed ones fill
the memory. What is read here are the places of the numbers alone, which must lie in the file and be as many as asked
for. The layout is that of Arrow's specification (format/Columnar.rst and Message.fbs, version 1.0 and later), whose
messages are tables of FlatBuffers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MAGIC = b"ARROW1\0\0"  # what a file begins with; messages follow: of the schema, of the batch
CONTINUATION = -1  # what a message begins with
KIND, HEADER, BODY_LENGTH = 1, 2, 3  # numbers of fields of a message
RECORD_BATCH = 3  # kind of message
NODES, BUFFERS, COMPRESSION = 1, 2, 3  # numbers of fields of a record batch
PADDING = 8  # bytes; fewer may follow the numbers of a column
PAIR = 16  # bytes of a node (length, number of missing values), and of a buffer (place in the body, length)


class Batch:
    """The columns of a record batch, to be taken one after the other. Raises ValueError for what is not asked for."""

    def __init__(self, content: bytes, header: int, body: int) -> None:
        self._content, self._body = content, body
        self._nodes, self._buffers = (_pairs(content, _field(content, header, number)) for number in (NODES, BUFFERS))

    def next_numbers(self, dtype: DTypeLike, count: int, width: int | None = None) -> NDArray[Any]:
        """The next column (count,) of numbers or, where there is a `width`, (count, width) of lists of so many."""
        if width is not None:
            self._next_node(count)
        numbers = count * (1 if width is None else width)
        self._next_node(numbers)
        place, length = next(self._buffers, (0, -1))
        start, size = self._body + place, numbers * np.dtype(dtype).itemsize
        if not size <= length < size + PADDING:
            raise ValueError("its numbers are not of the size of this replay's")
        if place < 0 or start + size > len(self._content):
            raise ValueError("it ends too soon")
        values = np.frombuffer(self._content, dtype, numbers, start)
        return values if width is None else values.reshape(count, width)

    def _next_node(self, count: int) -> None:
        """That of so many values, none of which is missing."""
        length, missing = next(self._nodes, (0, 0))
        if length != count or missing:
            raise ValueError(f"it has {length} values and not {count}" if length != count else "it lacks values")
        next(self._buffers, None)  # which values are missing

    def check_end(self) -> None:
        """Raises ValueError where there are further columns."""
        if next(self._nodes, None) is not None or next(self._buffers, None) is not None:
            raise ValueError("it has more columns than the replay")


def read_batch(content: bytes) -> Batch:
    """The first batch of a file. Raises ValueError where there is none."""
    if not content.startswith(MAGIC):
        raise ValueError("it is no Arrow file")
    try:
        _, _, _, end = _message(content, len(MAGIC))
        kind, header, body, _ = _message(content, end)
        if kind != RECORD_BATCH or _field(content, header, COMPRESSION):
            raise ValueError("its rows are not plain numbers")
        return Batch(content, header, body)
    except (struct.error, IndexError):
        raise ValueError("it has no rows where they should be") from None


def _message(content: bytes, place: int) -> tuple[int, int, int, int]:
    """(kind, place of the header, place of the body, end) of the message at a place."""
    marker, size = struct.unpack_from("<iI", content, place)
    if marker != CONTINUATION:
        raise ValueError("it has no message where one should be")
    table, body = _target(content, place + 8), place + 8 + size
    length_field = _field(content, table, BODY_LENGTH)
    length = struct.unpack_from("<q", content, length_field)[0] if length_field else 0
    return content[_field(content, table, KIND)], _target(content, _field(content, table, HEADER)), body, body + length


def _target(content: bytes, place: int) -> int:
    """Where what stands at a place points to."""
    return int(place + struct.unpack_from("<I", content, place)[0])


def _field(content: bytes, table: int, number: int) -> int:
    """The place of a table's field; 0 where it is not there."""
    layout = table - struct.unpack_from("<i", content, table)[0]
    (size,) = struct.unpack_from("<H", content, layout)
    entry = 4 + 2 * number
    offset = struct.unpack_from("<H", content, layout + entry)[0] if entry < size else 0
    return table + offset if offset else 0


def _pairs(content: bytes, field: int) -> Iterator[tuple[int, int]]:
    """Those of a vector, which are read when they are asked for."""
    vector = _target(content, field)
    (count,) = struct.unpack_from("<I", content, vector)
    vector += 4
    if vector + PAIR * count > len(content):
        raise ValueError("it has no rows where they should be")
    return struct.iter_unpack("<qq", content[vector : vector + PAIR * count])
