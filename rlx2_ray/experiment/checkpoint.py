"""Checkpoints: directories written aside, then renamed, so that one either is complete or is not there.

A checkpoint holds arrays (safetensors), values (JSON), replay snapshots, and the checksums of the first two (the replay
keeps its own). Nothing in it is unpickled. A damaged one is named and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.numpy import load_file, save_file

from rlx2_ray.networks.sparse_layer import Arrays

ARRAYS, VALUES, CHECKSUMS, REPLAY = "arrays.safetensors", "values.json", "checksums.json", "replay"
PREFIX, UNFINISHED = "step_", ".writing_"


class Checkpoint(NamedTuple):
    path: Path
    arrays: Arrays
    values: dict[str, Any]

    @property
    def replay(self) -> Path:
        """The directory that the replay was saved in."""
        return self.path / REPLAY


class DamagedCheckpoint(Exception):
    """A checkpoint whose content cannot be trusted; the text names it and says why."""


def save_checkpoint(
    root: Path,
    env_steps: int,
    arrays: Arrays,
    values: dict[str, Any],
    save_replay: Callable[[Path, Path | None], None],
    keep: int,
) -> Path:
    """Write the checkpoint of `env_steps`, the latest, below `root`, then remove all but the newest `keep`.

    `save_replay(directory, previous)` fills a new directory and may link files of the previous one.
    """
    target, aside = root / f"{PREFIX}{env_steps:012d}", root / f"{UNFINISHED}{env_steps:012d}"
    older = [path for path in list_checkpoints(root) if path != target]
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_file(arrays, aside / ARRAYS)
    (aside / VALUES).write_text(json.dumps(values))
    (aside / CHECKSUMS).write_text(json.dumps({name: _sha256(aside / name) for name in (ARRAYS, VALUES)}))
    (aside / REPLAY).mkdir()
    save_replay(aside / REPLAY, older[-1] / REPLAY if older else None)
    for path in aside.rglob("*"):
        _sync(path)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
    _sync(root)
    for path in [*older, target][:-keep]:
        shutil.rmtree(path)
    return target


def forget_after(root: Path, newest: Path | None) -> None:
    """Remove the checkpoints later than `newest` (all, where it is None) and unfinished ones.

    A run that goes on from `newest` must neither link their replay, which is another history's, nor keep them in place
    of good ones.
    """
    for path in [*list_checkpoints(root), *root.glob(f"{UNFINISHED}*")]:
        if newest is None or path.name > newest.name or path.name.startswith(UNFINISHED):
            shutil.rmtree(path)


def load_newest(
    root: Path, load_replay: Callable[[Path], Any], warn: Callable[[str], None]
) -> tuple[Checkpoint, Any] | None:
    """The newest undamaged checkpoint and its replay; None where there is none. Damaged ones are told to `warn`."""
    for path in reversed(list_checkpoints(root)):
        try:
            checkpoint = read_checkpoint(path)
            return checkpoint, load_replay(checkpoint.replay)
        except (DamagedCheckpoint, ValueError, OSError) as error:
            warn(f"The checkpoint {path} is damaged ({error}); trying the one before it.")
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """Arrays and values of one checkpoint. Raises DamagedCheckpoint or OSError."""
    try:
        checksums = json.loads((path / CHECKSUMS).read_text())
    except ValueError:
        raise DamagedCheckpoint(f"{CHECKSUMS} is not readable") from None
    for name, expected in checksums.items():
        if _sha256(path / name) != expected:
            raise DamagedCheckpoint(f"{name} does not match its checksum")
    return Checkpoint(path, load_file(path / ARRAYS), json.loads((path / VALUES).read_text()))


def list_checkpoints(root: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(root.glob(f"{PREFIX}*"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Make a file or directory durable: a rename may otherwise reach the disk before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
