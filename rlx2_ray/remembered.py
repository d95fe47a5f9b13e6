"""What a person has agreed to, kept for their later processes: small files of lines, which are theirs alone."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from rlx2_ray import files

MOST_BYTES = 2**24  # of such a file: more than a hundred thousand lines


def lines(name: str) -> list[str]:
    """Those of the file of that name; none where it is not there, or somebody else could have written to it."""
    try:
        file = file_of(name)
        status = file.lstat()
        if status.st_uid != os.geteuid() or status.st_mode & 0o022 or not stat.S_ISREG(status.st_mode):
            return []
        return files.read(file, MOST_BYTES).decode(errors="replace").splitlines()
    except (OSError, RuntimeError):  # the latter where there is no home
        return []


def remember(name: str, line: str) -> None:
    """Add a line to the file of that name, unless it has it; nothing where the home cannot be written to."""
    if line in lines(name):
        return
    with suppress(OSError, RuntimeError):
        file = file_of(name)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with files.open_to_append(file, 0o600) as target:
            target.write(f"{line}\n".encode())


def file_of(name: str) -> Path:
    """Raises RuntimeError where there is no home."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "rlx2_ray" / name
