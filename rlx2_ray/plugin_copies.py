"""Plugins for the nodes of a cluster: copies on the storage that all of them see, since each imports from one path."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rlx2_ray.types import BadInput

STORAGE = "RLX2_STORAGE"
FOLDER = "plugins"  # of the storage, with a folder for each content
DIGITS = 16


def on_storage(path: Path) -> Path:
    """Returns the place of a copy of a plugin, or its own where it is on the storage or none is set.

    A copy stays what it is: whoever changes the plugin has another one. Raises BadInput where none can be made.
    """
    storage = os.environ.get(STORAGE)
    if not storage or path.is_relative_to(home := Path(storage).absolute()):
        return path
    digest = digest_of(path)
    copy = home / FOLDER / digest[:DIGITS] / path.name
    try:
        if not copy.exists():
            _copy(path, copy)
        if digest_of(copy) == digest:
            return copy
    except OSError as error:
        raise BadInput(
            f"The plugin {path} cannot be copied to {copy}, where all nodes would find it ({error.strerror}): make "
            f"{STORAGE} a folder that can be written."
        ) from None
    raise BadInput(f"{copy} is no longer the copy of {path} that it was made as: remove it.")


def _copy(path: Path, copy: Path) -> None:
    """It is there whole or not at all, whoever else makes it now."""
    copy.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=copy.parent.parent, prefix=".") as made:
        whole = Path(made) / copy.parent.name
        whole.mkdir()
        for file in _files(path):
            target = whole / copy.name / file.relative_to(path) if path.is_dir() else whole / copy.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        try:
            whole.rename(copy.parent)
        except OSError:
            if not copy.exists():
                raise


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of all files of a package by their names."""
    total = hashlib.sha256()
    for file in _files(path):
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        total.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    """What Python has compiled is left out."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file
