"""Checkpoints: directories written aside, then renamed, so that one either is complete or is not there.

A checkpoint holds arrays (safetensors), values (JSON), replay snapshots, and the checksums of the first two (the replay
keeps its own). Nothing in it is unpickled. A damaged one is named and the one before it is used.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.numpy import load_file, save

from rlx2_ray.files import link_or_copy, move, sha256_of
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
    root: Path, load_replay: Callable[[Path], Any], warn: Callable[[str], None]
) -> tuple[Checkpoint, Any] | None:
    """Read the newest undamaged checkpoint and its replay; None where there is none. `warn` is told of damaged ones."""
    for path in reversed(list_checkpoints(root)):
        try:
            checkpoint = read_checkpoint(path)
            return checkpoint, load_replay(checkpoint.replay)
        except (DamagedCheckpoint, ValueError, OSError) as error:
            warn(f"The checkpoint {path} is damaged ({original(error)}); trying the one before it.")
    return None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read arrays and values of one checkpoint. Raises DamagedCheckpoint or OSError."""
    try:
        checksums = dict(json.loads((path / CHECKSUMS).read_text()))
    except (ValueError, TypeError):
        raise DamagedCheckpoint(f"{CHECKSUMS} is not readable") from None
    for name in (ARRAYS, VALUES):
        if sha256_of(path / name) != checksums.get(name):
            raise DamagedCheckpoint(f"{name} does not match its checksum")
    if REPLAY not in checksums:
        raise DamagedCheckpoint(f"{CHECKSUMS} is not readable")
    for name in checksums[REPLAY]:
        if not (path / REPLAY / name).exists():
            raise DamagedCheckpoint(f"{path / REPLAY / name} is missing")
    return Checkpoint(path, load_file(path / ARRAYS), json.loads((path / VALUES).read_text()))


def original(error: Exception) -> Exception:
    """The error itself, or the one of another process that it carries; the text of either alone is one line."""
    return getattr(error, "cause", None) or error


def checkpoint_path(root: Path, env_steps: int) -> Path:
    return root / f"{PREFIX}{env_steps:012d}"


def list_checkpoints(root: Path) -> list[Path]:
    """The complete checkpoints, oldest first."""
    return sorted(root.glob(f"{PREFIX}*"))


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
