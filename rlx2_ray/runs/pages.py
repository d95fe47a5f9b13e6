"""How large the columns of a Parquet file become when they are decompressed, read before anything is.

The footer of a file may say one thing and the header of a page another, by which a reader allocates. The numbers of
fields are those of https://github.com/apache/parquet-format, parquet.thrift.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rlx2_ray.runs.thrift import Struct, read_struct

MAGIC = b"PAR1"
TAIL = 8  # the footer's length, and the magic


class Chunk(NamedTuple):
    """A column's part of a file."""

    values: int
    encodings: frozenset[int]
    start: int
    length: int


def chunks(content: bytes) -> list[list[Chunk]]:
    """The columns of each row group, as the footer has them. Raises ValueError where they are stored in other ways."""
    size = int.from_bytes(content[-TAIL:-4], "little")
    if content[-4:] != MAGIC or not 0 < size <= len(content) - TAIL:
        raise ValueError("no footer")
    footer, _ = read_struct(content[-TAIL - size : -TAIL], 0)
    return [[_chunk(column) for column in _get(group, 1, list)] for group in _get(footer, 4, list)]


def _chunk(column: Any) -> Chunk:
    described, encodings = _get(column, 3, dict), _get(_get(column, 3, dict), 2, list)
    # What else a column may have: a file of its own, an index, a key; a dictionary.
    if set(column) - {2, 3} or 11 in described or not all(type(each) is int for each in encodings):
        raise ValueError("a column is stored in another way")
    values, length, start = (_get(described, number, int) for number in (5, 7, 9))
    return Chunk(values, frozenset(encodings), start, length)


def decompressed(content: bytes, chunk: Chunk) -> int:
    """The bytes of all pages of a column. Raises ValueError where it is not made of whole pages."""
    place, end, total = chunk.start, chunk.start + chunk.length, 0
    if not 0 < place <= end <= len(content):
        raise ValueError("a column lies outside the file")
    while place < end:
        header, place = read_struct(content, place)
        size, stored = _get(header, 2, int), _get(header, 3, int)
        if size < 0 or not 0 <= stored <= end - place:
            raise ValueError("a page is not all there")
        place, total = place + stored, total + size
    return total


def _get(struct: Struct, number: int, kind: type) -> Any:
    if not isinstance(struct, dict) or type(struct.get(number)) is not kind:
        raise ValueError(f"field {number} is not there")
    return struct[number]
