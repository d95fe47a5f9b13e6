"""A finished run made unfinished, and resumed to what it was."""

from __future__ import annotations

import shutil
from pathlib import Path

from safetensors.numpy import load_file

from rlx2_ray.runs.checkpoint import ARRAYS, list_checkpoints
from tests.support.checkpoints import newest
from tests.support.runs import read_points, resume


def leave_checkpoints(directory: Path, last: str) -> None:
    """Remove those after `last`."""
    for path in list_checkpoints(directory / "checkpoints"):
        if path.name > last:
            shutil.rmtree(path)


def check_resumes_alike(directory: Path, whole: Path) -> None:
    """The copy in `directory`, whose last checkpoints are gone, goes on to the arrays and points of the whole."""
    for name in ("result.json", "policy.safetensors"):
        (directory / name).unlink()
    resume(directory)
    same, again = (load_file(newest(each) / ARRAYS) for each in (whole, directory))
    assert {name: each.tobytes() for name, each in same.items()} == {
        name: each.tobytes() for name, each in again.items()
    }
    returns = [[point["return_mean"] for point in read_points(each)] for each in (whole, directory)]
    assert returns[0] == returns[1]
