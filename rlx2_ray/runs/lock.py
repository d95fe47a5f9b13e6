"""One process at a time works on the directory of a run or a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from rlx2_ray import files
from rlx2_ray.types import BadInput


def check_no_link(folder: Path) -> None:
    """Raises BadInput where anything in a folder that is about to be written to is a symbolic link.

    Whoever made the folder could have had it lead anywhere, and what is there would be changed or removed. The path of
    the folder itself is its user's, who may have links in it. Raises OSError where the folder cannot be read.
    """
    link = files.first_link(folder)
    if link is not None:
        raise BadInput(
            f"{link} is a symbolic link, and nothing is written where one may lead elsewhere: put what it leads to in "
            "its place, or remove it."
        )


class FolderLock:
    """The lock of a folder. It goes with `release`, or with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "run.lock"
        self._held: IO[bytes] | None = None

    def acquire(self, wait_s: float = 0.0) -> None:
        """Take the lock, and remove what a process that was killed had not finished writing.

        Raises BadInput where another process still works there after `wait_s`, the lock cannot be written, or anything
        in the folder is a link.
        """
        try:
            check_no_link(self._folder)
            self._held = files.lock(self.file, wait_s)
            files.remove_unfinished(self._folder)
        except TimeoutError:
            raise BadInput(f"{self._folder} is in use by another process: wait for it or stop it.") from None
        except OSError as error:
            raise BadInput(
                f"{self._folder} cannot be written to ({error.strerror}): make it writable, or make room."
            ) from None

    def release(self) -> None:
        if self._held is not None:
            self._held.close()
