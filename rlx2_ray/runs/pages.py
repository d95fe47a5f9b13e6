"""How large the pages of a Parquet column become when they are decompressed, read before anything is.

The footer of a file may say one thing and the header of a page another, by which a reader allocates. The headers are in
Thrift's compact protocol: a field is a byte of type and distance to the number of the field before it, and its value.
"""

from __future__ import annotations

from typing import NamedTuple

# Kinds of values of Thrift; there is no list in a header.
LENGTHS = {1: 0, 2: 0, 3: 1, 7: 8}  # bytes of the two booleans, a byte and a double
INTEGERS, BINARY, STRUCT = (4, 5, 6), 8, 12
DEEPEST = 4  # structs in a header have two levels
SIZES = (2, 3)  # fields of a header: bytes of the page, decompressed and as it stands there


class Chunk(NamedTuple):
    """A column's part of a file."""

    start: int
    length: int


def decompressed(content: bytes, chunk: Chunk) -> int:
    """The bytes of all pages of a column. Raises ValueError where it is not made of whole pages."""
    place, end, total = chunk.start, chunk.start + chunk.length, 0
    if not 0 < place <= end <= len(content):
        raise ValueError("a column lies outside the file")
    while place < end:
        place, (size, stored) = _header(content, place)
        if size < 0 or not 0 <= stored <= end - place:
            raise ValueError("a page is not all there")
        place, total = place + stored, total + size
    return total


def _header(content: bytes, place: int) -> tuple[int, tuple[int, int]]:
    """Where a header ends, and its sizes."""
    fields: dict[int, int] = {}
    try:
        end = _struct(content, place, fields, 0)
    except IndexError:
        raise ValueError("the header of a page is not all there") from None
    if not all(field in fields for field in SIZES):
        raise ValueError("the header of a page has no sizes")
    return end, (fields[SIZES[0]], fields[SIZES[1]])


def _struct(content: bytes, place: int, fields: dict[int, int] | None, depth: int) -> int:
    """Where it ends; its integers go to `fields`. Raises ValueError where one of these is there twice."""
    if depth > DEEPEST:
        raise ValueError("the header of a page is nested too deep")
    number = 0
    while kind := content[place] & 15:
        distance, place = content[place] >> 4, place + 1
        if distance:
            number += distance
        else:
            value, place = _varint(content, place)
            number = _signed(value)
        if kind in INTEGERS:
            value, place = _varint(content, place)
            if fields is not None and fields.setdefault(number, _signed(value)) != _signed(value):
                raise ValueError("the header of a page has a size twice")
        else:
            place = _skip(content, place, kind, depth)
    return place + 1


def _skip(content: bytes, place: int, kind: int, depth: int) -> int:
    if kind in LENGTHS:
        return place + LENGTHS[kind]
    if kind == BINARY:
        size, place = _varint(content, place)
        return place + size
    if kind == STRUCT:
        return _struct(content, place, None, depth + 1)
    raise ValueError("the header of a page has a list")


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, place = content[place], place + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number is too long")


def _signed(value: int) -> int:
    """As a reader of 32 bits takes it."""
    number = (value >> 1) ^ -(value & 1)
    return (number + 2**31) % 2**32 - 2**31
