"""One process at a time works on the directory of a run or a sweep."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

from rlx2_ray.types import BadInput

POLL_S = 0.2


class FolderLock:
    """Goes with `release`, or with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "run.lock"
        self._held: IO[str] | None = None

    def acquire(self, wait_s: float = 0.0) -> None:
        """Raises BadInput where another process still works there after `wait_s`, or the lock cannot be written."""
        deadline = time.monotonic() + wait_s
        try:
            self._held = self.file.open("w")
            while not self._try():
                if time.monotonic() > deadline:
                    raise BadInput(f"{self._folder} is in use by another process: wait for it or stop it.")
                time.sleep(POLL_S)
        except OSError as error:
            raise BadInput(
                f"{self._folder} cannot be written to ({error.strerror}): make it writable, or make room."
            ) from None

    def _try(self) -> bool:
        assert self._held is not None
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        if self._held is not None:
            self._held.close()
