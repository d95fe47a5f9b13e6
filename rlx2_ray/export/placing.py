"""Exported files are made aside, checked there, and then put in place; an existing file is never replaced."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rlx2_ray import files
from rlx2_ray.types import BadInput


@contextmanager
def placing(targets: Sequence[Path]) -> Iterator[Path]:
    """Gives a folder aside, whose files of the targets' names take their places at the end, the last target last.

    Raises BadInput where one exists already, or cannot be written.
    """
    for target in reversed(targets):
        if os.path.lexists(target):  # also a link that leads nowhere
            raise BadInput(f"--out is {target}, which exists: remove it, or give another one.")
    folder = targets[0].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".rlx2-export-", dir=folder) as aside:
            yield Path(aside)
            for target in targets:
                files.move(Path(aside, target.name), target)
    except OSError as error:
        raise BadInput(
            f"--out is {targets[-1]}, which cannot be written ({error.strerror or error}): "
            "make room, or give another one."
        ) from None
