"""Alterations of files that keep to their structure, for hypothesis: what somebody would try who knows the format."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

DEEP = json.loads("[" * 90 + "]" * 90)
VALUES: list[Any] = [
    *(None, True, False, -1, 0, 1, 7, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.5, 1e300, -1e300),
    *(float("nan"), float("inf"), "", "x", "../x", "/dev/zero", "lane0-segment000000.arrow", "x" * 10_000),
    *([], [0], [[]], {}, {"x": 1}, DEEP),
]
NUMBERS = (np.nan, np.inf, -np.inf, -1, 0, 1, 2**31 - 1, 3.4e38)
DTYPES = (np.float16, np.float64, np.int64, np.int8, np.uint32, np.bool_)

values = st.sampled_from(VALUES)


@st.composite
def altered_tree(draw: st.DrawFn, tree: Any) -> Any:
    """JSON with one place changed: a value replaced or removed, or a key or an entry added."""
    copy = json.loads(json.dumps(tree))
    places = list(_places(copy))
    holder, key = places[draw(st.integers(0, len(places) - 1))]
    kind = draw(st.sampled_from(["replace", "replace", "nudge", "remove", "add"]))
    if kind == "remove":
        del holder[key]
    elif kind == "nudge" and isinstance(holder[key], int | float):
        holder[key] += draw(st.sampled_from([-1, 1, 64, 10**9]))
    elif kind == "add" and isinstance(holder, dict):
        holder[draw(st.sampled_from(["x", "", "points", "refused"]))] = draw(values)
    elif kind == "add":
        holder.insert(0, holder[0])
    else:
        holder[key] = draw(values)
    return copy


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """All that can be changed, as what holds it and its key there."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


@st.composite
def altered_arrays(draw: st.DrawFn, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Named arrays of which one is changed, removed, renamed or doubled."""
    copy = dict(arrays)
    name = draw(st.sampled_from(sorted(arrays)))
    other = draw(st.sampled_from(sorted(arrays)))
    kind = draw(st.sampled_from(["value", "value", "dtype", "size", "shape", "sort", "remove", "rename", "swap"]))
    array = copy[name]
    if kind == "remove":
        del copy[name]
    elif kind == "rename":
        copy[f"{name}.x"] = copy.pop(name)
    elif kind == "swap":
        copy[name], copy[other] = copy[other], array
    else:
        copy[name] = draw(altered_array(array, kind))
    return copy


@st.composite
def altered_array(draw: st.DrawFn, array: NDArray[Any], kind: str) -> NDArray[Any]:
    if kind == "dtype":
        with np.errstate(all="ignore"):
            return array.astype(draw(st.sampled_from(DTYPES)))
    if kind == "size":
        rows = draw(st.sampled_from([0, 1, max(0, len(array) - 1), len(array) + 1, 1000]))
        return np.resize(array, (rows, *array.shape[1:]))
    if kind == "shape":
        return array.reshape(draw(st.sampled_from([(*array.shape, 1), (1, *array.shape), (-1,)])))
    if kind == "sort":
        return np.ascontiguousarray(array[::-1])
    copy = array.copy()
    if copy.size:
        place = draw(st.integers(0, copy.size - 1))
        number = draw(st.sampled_from(NUMBERS))
        with np.errstate(all="ignore"):
            copy.ravel()[place] = np.float64(number).astype(copy.dtype)
    return copy


@contextmanager
def restored(*paths: Path) -> Iterator[None]:
    """Gives files that are altered meanwhile their content back, for the next example."""
    contents = [path.read_bytes() for path in paths]
    try:
        yield
    finally:
        for path, content in zip(paths, contents, strict=True):
            path.unlink(missing_ok=True)
            path.write_bytes(content)


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Asserts that nothing in a folder is changed, made or removed meanwhile."""
    before = _listing(folder)
    yield
    assert _listing(folder) == before


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    status = {str(path): path.lstat() for path in folder.rglob("*")}
    return {name: (each.st_mtime_ns, each.st_size) for name, each in status.items()}


def enlarge(path: Path) -> None:
    """Without taking up room on the disk."""
    with path.open("r+b") as file:
        file.truncate(10**12)


def make_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
