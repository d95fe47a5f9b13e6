"""Checkpoints: directories written aside, then renamed, so that one either is complete or is not there.

A checkpoint holds arrays (safetensors), values (JSON), replay snapshots, and the checksums of the first two (the replay
keeps its own). Nothing in it is unpickled. A damaged one is named and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from safetensors import SafetensorError
from safetensors.numpy import load, save

from rlx2_ray import files, json_text
from rlx2_ray.files import link_or_copy, move, sha256_of
from rlx2_ray.networks.sparse_layer import Arrays

ARRAYS, VALUES, CHECKSUMS, REPLAY = "arrays.safetensors", "values.json", "checksums.json", "replay"
PREFIX, UNFINISHED = "step_", ".writing_"
NAME = re.compile(rf"{PREFIX}[0-9]{{12,18}}")
PART = re.compile(r"index\.json|lane[0-9]+-segment[0-9]{6,}\.arrow|shard[0-9]+")  # names inside a replay
MOST_CHECKSUMS = 16 << 20  # bytes: more than 400,000 segments
SHOWN = 200  # letters of what is wrong

Replay = TypeVar("Replay")


class Checkpoint(NamedTuple):
    path: Path
    arrays: Arrays
    values: dict[str, Any]

    @property
    def replay(self) -> Path:
        """The directory that the replay was saved in."""
        return self.path / REPLAY


class Form(Protocol):
    """What the checkpoints of a run can hold; see `checkpoint_form`. Its methods raise ValueError for anything else."""

    @property
    def most_values(self) -> int:
        """Bytes that the values can take."""
        ...

    def values(self, env_steps: int, content: object) -> dict[str, Any]:
        """The values of a checkpoint after `env_steps`."""
        ...

    def most_arrays(self, values: dict[str, Any]) -> tuple[int, int]:
        """Bytes that the arrays and their head can take, beside such values."""
        ...

    def arrays(self, values: dict[str, Any], arrays: Arrays) -> Arrays:
        """The arrays of a checkpoint with these values."""
        ...


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

    `save_replay(directory, previous)` fills a new directory and may link files of the previous one. Raises OSError
    where there is no room; what was written is removed then, and the checkpoints that are there stay.
    """
    target, aside = checkpoint_path(root, env_steps), root / f"{UNFINISHED}{env_steps:012d}"
    older = [path for path in list_checkpoints(root) if path != target]
    _remove_unfinished(root)
    try:
        _write_state(aside, arrays, values)
        (aside / REPLAY).mkdir()
        save_replay(aside / REPLAY, older[-1] / REPLAY if older else None)
        _write_checksums(aside)
        shutil.rmtree(target, ignore_errors=True)
        move(aside, target)
    except BaseException:
        _remove_unfinished(root)
        raise
    for path in [*older, target][:-keep]:
        shutil.rmtree(path)
    return target


def copy_checkpoint(source: Path, root: Path) -> None:
    """Make a copy the only checkpoint below `root`. Its files are linked where that can be.

    A kill leaves the old ones or the copy; `finish_copy` puts them where they belong.
    """
    aside, given_up = _asides(root)
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(source, aside / source.name, copy_function=link_or_copy)  # they are never written to again
    if root.exists():
        move(root, given_up)
    move(aside, root)
    shutil.rmtree(given_up, ignore_errors=True)


def finish_copy(root: Path) -> None:
    """Clean up after a copying that was killed; to be called by who has the folder alone."""
    aside, given_up = _asides(root)
    if given_up.exists() and not root.exists():
        move(given_up, root)
    for path in (aside, given_up):
        shutil.rmtree(path, ignore_errors=True)


def _asides(root: Path) -> tuple[Path, Path]:
    """Where a copy is made, and where what it replaces is until it is there."""
    return root.with_name(f".{root.name}.copy"), root.with_name(f".{root.name}.given_up")


def forget_after(root: Path, newest: Path | None) -> None:
    """Remove the checkpoints later than `newest` (all, where it is None) and unfinished ones.

    A run that goes on from `newest` must neither link their replay, which is another history's, nor keep them in place
    of good ones.
    """
    _remove_unfinished(root)
    for path in list_checkpoints(root):
        if newest is None or path.name > newest.name:
            shutil.rmtree(path)


def load_newest(
    root: Path, form: Form, load_replay: Callable[[Checkpoint], Replay], warn: Callable[[str], None]
) -> tuple[Checkpoint, Replay] | None:
    """Read the newest undamaged checkpoint and its replay; None where there is none. `warn` is told of damaged ones."""
    for path in reversed(list_checkpoints(root)):
        try:
            checkpoint = read_checkpoint(path, form)
            return checkpoint, load_replay(checkpoint)
        except (DamagedCheckpoint, ValueError, OSError) as error:
            warn(f"The checkpoint {path} is damaged ({original(error)}); trying the one before it.")
    return None


def read_checkpoint(path: Path, form: Form) -> Checkpoint:
    """Read arrays and values of one checkpoint. Raises DamagedCheckpoint or OSError."""
    try:
        return _read_checkpoint(path, form)
    except MemoryError:
        raise DamagedCheckpoint("it is larger than the memory") from None


def _read_checkpoint(path: Path, form: Form) -> Checkpoint:
    checksums = _read_checksums(path)
    values = _read_values(path, form, checksums)
    most, head = form.most_arrays(values)
    content = files.read(path / ARRAYS, most, follow=False)
    _check_digest(ARRAYS, content, checksums)
    if int.from_bytes(content[:8], "little") > head:
        raise DamagedCheckpoint(f"{ARRAYS} holds more arrays than the run has")
    try:
        return Checkpoint(path, form.arrays(values, load(content)), values)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(f"{ARRAYS}: {error}"[:SHOWN]) from None


def read_values(path: Path, form: Form) -> dict[str, Any]:
    """Read the values of one checkpoint alone. Raises DamagedCheckpoint or OSError."""
    return _read_values(path, form, _read_checksums(path))


def _read_checksums(path: Path) -> dict[str, Any]:
    try:
        checksums = json_text.parse_object(files.read(path / CHECKSUMS, MOST_CHECKSUMS, follow=False))
    except ValueError:
        raise DamagedCheckpoint(f"{CHECKSUMS} is not readable") from None
    names = checksums.get(REPLAY)
    if not isinstance(names, list) or not all(isinstance(name, str) and PART.fullmatch(name) for name in names):
        raise DamagedCheckpoint(f"{CHECKSUMS} is not readable")
    for name in names:
        if not (path / REPLAY / name).exists():
            raise DamagedCheckpoint(f"{path / REPLAY / name} is missing")
    return checksums


def _read_values(path: Path, form: Form, checksums: dict[str, Any]) -> dict[str, Any]:
    content = files.read(path / VALUES, form.most_values, follow=False)
    _check_digest(VALUES, content, checksums)
    try:
        return form.values(steps_of(path), json_text.parse(content))
    except ValueError as error:
        raise DamagedCheckpoint(f"{VALUES}: {error}"[:SHOWN]) from None


def _check_digest(name: str, content: bytes, checksums: dict[str, Any]) -> None:
    if hashlib.sha256(content).hexdigest() != checksums.get(name):
        raise DamagedCheckpoint(f"{name} does not match its checksum")


def original(error: Exception) -> Exception:
    """The error itself, or the one of another process that it carries; the text of either alone is one line."""
    return getattr(error, "cause", None) or error


def checkpoint_path(root: Path, env_steps: int) -> Path:
    return root / f"{PREFIX}{env_steps:012d}"


def list_checkpoints(root: Path) -> list[Path]:
    """The complete checkpoints, oldest first: folders under the names that they are given, and no links."""
    while True:
        named = [path for path in root.glob(f"{PREFIX}*") if NAME.fullmatch(path.name)]
        there = sorted(path for path in named if path.is_dir() and not path.is_symlink())
        if there or all(map(os.path.lexists, named)):
            return there  # else a run has put a newer one in the place of the only one


def steps_of(path: Path) -> int:
    """The env steps that a checkpoint is of."""
    return int(path.name.removeprefix(PREFIX))


def _write_state(directory: Path, arrays: Arrays, values: dict[str, Any]) -> None:
    directory.mkdir(parents=True)
    # Not by safetensors' own save_file: its errors are no OSError.
    (directory / ARRAYS).write_bytes(save(arrays))
    (directory / VALUES).write_text(json.dumps(values))


def _write_checksums(directory: Path) -> None:
    """Of the state; of the replay, whose indexes have their own, the names, so that a lost shard is noticed."""
    checksums: dict[str, Any] = {name: sha256_of(directory / name) for name in (ARRAYS, VALUES)}
    checksums[REPLAY] = sorted(path.name for path in (directory / REPLAY).iterdir())
    (directory / CHECKSUMS).write_text(json.dumps(checksums))


def _remove_unfinished(root: Path) -> None:
    """Also what another process was still writing when its checkpoint was given up."""
    for path in root.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)
