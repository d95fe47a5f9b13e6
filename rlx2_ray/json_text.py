"""JSON that somebody else may have written: plain values that can be written again, or a ValueError.

Python's own reader takes more than that: values nested so deep that nobody can walk them, numbers that no float holds,
and halves of characters, which no file takes.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100  # levels; a configuration, the deepest of what is written, has some fifty of its own at most
MOST_DIGITS = 300  # of a whole number: a float has no more before its point
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # of a pair that makes one character, where both are there
_LONG = re.compile(rb"\d{%d}" % (MOST_DIGITS + 1))


def parse(content: bytes) -> Any:
    """The value of a text. Raises ValueError."""
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if _LONG.search(content):
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    if content.count(b"{") + content.count(b"[") > DEEPEST and _depth(value) > DEEPEST:
        raise ValueError("nested too deep")
    if _HALF.search(content):
        _check_characters(value)
    return value


def parse_object(content: bytes) -> dict[str, Any]:
    """The keys and values of a text. Raises ValueError where it says anything else."""
    value = parse(content)
    if not isinstance(value, dict):
        raise ValueError("no keys and values")
    return value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [inner for each in level for inner in _inside(each)]
    return depth


def _inside(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _check_characters(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("no valid Unicode") from None
