"""Alterations of files that keep their form, as one makes them who wants to harm, and what a folder holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from rlx2_ray.types import BadInput, RunFailed

Draw = Callable[[Any], Any]

NUMBERS = st.integers() | st.floats(allow_subnormal=False) | st.sampled_from([10**299, 10**400, -1, 2**63, 2**64, True])
TEXTS = st.text(max_size=20) | st.sampled_from(["\ud800", "\x00", "../../x", "/etc/passwd", "x" * 100_000, "'\"", "{}"])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a nested value something else could stand."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*at, key)
        yield from places(inner, (*at, key))


def altered(draw: Draw, value: Any) -> Any:
    """The value with one to three of its values replaced, removed, repeated, or put somewhere else."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            return draw(VALUES)
        *path, last = draw(st.sampled_from(found))
        inner = value
        for key in path:
            inner = inner[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "add", "deepen", "swap"])):
            case "replace":
                inner[last] = draw(VALUES)
            case "remove":
                del inner[last]
            case "add" if isinstance(inner, dict):
                inner[draw(TEXTS)] = draw(VALUES)
            case "add":
                inner.insert(last, draw(VALUES))
            case "deepen":
                for _ in range(draw(st.sampled_from([1, 60, 120]))):
                    inner[last] = [inner[last]]
            case _:
                inner[last] = draw(st.sampled_from([inner[key] for key in (inner if isinstance(inner, dict) else [0])]))
    return value


def broken(draw: Draw, content: bytes) -> bytes:
    """The text with some bytes in place of others."""
    start = draw(st.integers(0, len(content)))
    end = min(len(content), start + draw(st.integers(0, 30)))
    return content[:start] + draw(st.binary(max_size=20)) + content[end:]


def state_of(folder: Path) -> dict[str, Any]:
    """All that is in a folder, with contents and times."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def check_read_or_refused(read: Callable[[], object]) -> None:
    """Either gives something or says in one sentence why not, in which no value of any length stands."""
    said = _sentence_of(read)
    assert len(said) <= 1000
    assert "\n" not in said
    said.encode()


def _sentence_of(read: Callable[[], object]) -> str:
    """Empty where there is none."""
    try:
        read()
    except (BadInput, RunFailed) as problem:
        return str(problem)
    return ""
