"""Files as somebody alters them on purpose: digests are made anew, here and not by the package, as they would."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from safetensors.numpy import load, save

from rlx2_ray.types import BadInput

LONGEST = 700  # characters of a sentence with the path of a test
Arrays = dict[str, Any]

SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8)
SCALARS |= st.sampled_from(["td3", "Hopper-v5", "os:Hopper-v5", -1, 0, 1, 2**31, 1e308, "x" * 3000, "\udc80", "../x"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)
DTYPES = ["float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"]


def policy_bytes(arrays: Arrays, metadata: dict[str, str]) -> bytes:
    """A policy's file with the digest that it should have."""
    policy = hashlib.sha256()
    for number in range(len(arrays) // 4):
        for name in ("shape", "indices", "weights", "bias"):
            policy.update(np.ascontiguousarray(arrays.get(f"policy.{number}.{name}", np.empty(0))).tobytes())
    known = {key: value for key, value in metadata.items() if key != "digest"}
    known["digest"] = hashlib.sha256((json.dumps(known, sort_keys=True) + policy.hexdigest()).encode()).hexdigest()
    return bytes(save(arrays, known))


def parts_of(content: bytes) -> tuple[Arrays, dict[str, str]]:
    """The arrays and the metadata of a policy's file."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return dict(load(content)), header["__metadata__"]


def altered(draw: st.DrawFn, value: Any, depth: int = 0) -> Any:
    """A value of JSON with something else in one place."""
    if depth > 6 or not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    places = list(value) if isinstance(value, dict) else range(len(value))
    place = draw(st.sampled_from(places))
    changed = dict(value) if isinstance(value, dict) else list(value)
    kind = draw(st.sampled_from(["in", "in", "in", "gone", "more"]))
    if kind == "in":
        changed[place] = altered(draw, value[place], depth + 1)
    elif kind == "gone":
        del changed[place]
    elif isinstance(changed, dict):
        changed[draw(st.text(max_size=6))] = draw(VALUES)
    else:
        changed.append(draw(VALUES))
    return changed


def altered_array(draw: st.DrawFn, array: Any) -> Any:
    """An array of another kind, length or value."""
    kind = draw(st.sampled_from(["value", "value", "dtype", "length", "axes", "order"]))
    if kind == "dtype":
        with np.errstate(all="ignore"):
            return np.nan_to_num(array).astype(draw(st.sampled_from(DTYPES)))
    if kind == "length":
        return np.resize(array, draw(st.integers(0, 2 * len(array) + 2)))
    if kind == "axes":
        return array.reshape(1, -1)
    if kind == "order":
        return array[::-1].copy()
    changed = array.copy()
    if len(changed):
        place = draw(st.integers(0, len(changed) - 1))
        whole = st.sampled_from([-1, 0, 1, 2, 3, 255, 2**20, 2**31 - 1, -(2**31)])
        numbers = whole if array.dtype.kind == "i" else st.floats(width=32)
        with np.errstate(all="ignore"):  # of half a number
            changed[place] = np.asarray(draw(numbers)).astype(changed.dtype)
    return changed


def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with some of them gone, changed or doubled."""
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 40)))
    return content[:start] + draw(st.binary(max_size=40)) + content[end:]


@contextmanager
def result_or_sentence(outside: Path) -> Iterator[None]:
    """Whatever is done in here succeeds, or ends in a sentence, and leaves what is in a folder elsewhere as it is."""
    before = state_of(outside)
    try:
        yield
    except BadInput as problem:
        check_sentence(str(problem))
    assert state_of(outside) == before


def check_sentence(text: str) -> None:
    assert len(text) < LONGEST
    assert "\n" not in text
    assert text.endswith((".", "?"))
    text.encode()


def state_of(folder: Path) -> dict[str, Any]:
    """All that is in a folder, with contents and times."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, os.path.isfile(path) and path.read_bytes())
    return found


def refused(read: Callable[[], object]) -> str:
    """What is said of a file that is refused."""
    try:
        read()
    except BadInput as problem:
        check_sentence(str(problem))
        return str(problem)
    raise AssertionError("it was taken")
