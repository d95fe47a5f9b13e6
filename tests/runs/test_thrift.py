"""Thrift's compact protocol by hand, and that no bytes do anything but end in a value or a ValueError."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.runs.thrift import read_struct


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x00", {}),
        (b"\x15\x02\x15\x03\x00", {1: 1, 2: -2}),
        (b"\x25\x80\x01\x00", {2: 64}),
        (b"\x05\x28\x06\x00", {20: 3}),  # the number of the field in full
        (b"\x11\x12\x00", {1: True, 2: False}),
        (b"\x18\x02ab\x00", {1: b"ab"}),
        (b"\x19\x25\x02\x04\x00", {1: [1, 2]}),
        (b"\x1c\x15\x04\x00\x00", {1: {1: 2}}),
        (b"\x15\xfe\xff\xff\xff\x1f\x00", {1: -1}),  # 2^33 - 1 as 32 bits take it
        (b"\x16\xfe\xff\xff\xff\x1f\x00", {1: 2**32 - 1}),
    ],
)
def test_values(content: bytes, expected: dict[int, Any]) -> None:
    assert read_struct(b"?" + content + b"?", 1) == (expected, 1 + len(content))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\x15", "not all there"),
        (b"\x18\x7fab\x00", "a text is not all there"),
        (b"\x19\xf5\xff\xff\xff\xff\x0f\x02", "not all there"),  # a list of 2^32 - 1
        (b"\x15\x02\x05\x02\x02\x00", "field 1 is there twice"),
        (b"\x1c" * 20, "nested too deep"),
        (b"\x19\x19" * 20, "nested too deep"),
        (b"\x1e\x00", "of kind 14"),
        (b"\x15" + b"\xff" * 20, "too long"),
    ],
)
def test_what_is_no_struct(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_struct(content, 0)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_struct_or_an_error(content: bytes) -> None:
    try:
        _, end = read_struct(content, 0)
    except ValueError:
        return
    assert 0 < end <= len(content)
