"""Thrift's compact protocol, in which the footer and the page headers of a Parquet file are written, as plain values.

A field is a byte of type and distance to the number of the field before it, and its value. pyarrow reads the same, but
some of its properties end the process where a footer says what cannot be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Struct = dict[int, Any]  # by the numbers of its fields

TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
BITS = {4: 32, 5: 32, 6: 64}  # of integers, as a reader takes them
DEEPEST = 12  # levels; a footer has six


def read_struct(content: bytes, place: int) -> tuple[Struct, int]:
    """The struct that begins there, and where it ends. Raises ValueError."""
    try:
        return _struct(content, place, 0)
    except IndexError:
        raise ValueError("a struct is not all there") from None


def _struct(content: bytes, place: int, depth: int) -> tuple[Struct, int]:
    fields: Struct = {}
    number = 0
    while kind := content[place] & 15:
        distance, place = content[place] >> 4, place + 1
        if distance:
            number += distance
        else:
            value, place = _varint(content, place)
            number = _signed(value, 32)
        if number in fields:
            raise ValueError(f"field {number} is there twice")
        if kind in (TRUE, FALSE):
            fields[number] = kind == TRUE
        else:
            fields[number], place = _value(content, place, kind, depth)
    return fields, place + 1


def _value(content: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in BITS:
        value, place = _varint(content, place)
        return _signed(value, BITS[kind]), place
    read = _READERS.get(kind)
    if depth > DEEPEST:
        raise ValueError("values are nested too deep")
    if read is None:
        raise ValueError(f"a value is of kind {kind}")
    return read(content, place, depth)


def _bytes(content: bytes, place: int, depth: int) -> tuple[bytes, int]:
    size, place = _varint(content, place)
    if size > len(content) - place:
        raise ValueError("a text is not all there")
    return content[place : place + size], place + size


def _list(content: bytes, place: int, depth: int) -> tuple[list[Any], int]:
    kind, count = content[place] & 15, content[place] >> 4
    place += 1
    if count == 15:
        count, place = _varint(content, place)
    values = []
    for _ in range(count):  # each takes a byte at least, so that a lie about their number ends with the content
        value, place = _value(content, place, BYTE if kind in (TRUE, FALSE) else kind, depth + 1)
        values.append(value)
    return values, place


_READERS: dict[int, Callable[[bytes, int, int], tuple[Any, int]]] = {
    BYTE: lambda content, place, depth: (content[place], place + 1),
    DOUBLE: lambda content, place, depth: (content[place : place + 8], place + 8),
    BINARY: _bytes,
    LIST: _list,
    SET: _list,
    STRUCT: lambda content, place, depth: _struct(content, place, depth + 1),
}


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, place = content[place], place + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number is too long")


def _signed(value: int, bits: int) -> int:
    number = (value >> 1) ^ -(value & 1)
    return (number + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
