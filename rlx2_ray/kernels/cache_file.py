"""numba's files of compiled code, each with a digest at its end.

numba runs what such a file holds as it finds it, so a damaged one would end the process, or give wrong numbers; and
where the disk is full it ends with a traceback. Here the first is compiled again, and the second left in memory.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

from rlx2_ray import files

DIGEST_BYTES = hashlib.sha256().digest_size


class KernelLocator(caching.UserProvidedCacheLocator):  # type: ignore[misc]  # numba has no types
    """The folder of `numba.config.CACHE_DIR`, also where nothing can be written to it."""

    def ensure_cache_path(self) -> None:
        try:
            super().ensure_cache_path()
        except OSError as error:
            say_not_kept(error)


class CheckedCacheFile(caching.IndexDataCacheFile):  # type: ignore[misc]
    """The index of one function and the code of its signatures; numba's own reader ignores what follows its content."""

    def load(self, key: Any) -> Any:
        """Returns None, as for what is not there, where a file is damaged or cannot be read."""
        try:
            return super().load(key)
        except OSError as error:
            say_once(
                "unreadable",
                f"Kernels in {numba.config.CACHE_DIR} cannot be read ({error.strerror}): they are compiled again.",
            )
            return None

    def save(self, key: Any, data: Any) -> None:
        """Leave it in the memory of this process where it cannot be written."""
        try:
            super().save(key, data)
        except OSError as error:
            say_not_kept(error)

    def _load_index(self) -> Any:
        return super()._load_index() if self._is_whole(Path(self._index_path)) else {}

    def _load_data(self, name: str) -> Any:
        return super()._load_data(name) if self._is_whole(Path(self._data_path(name))) else None

    def _is_whole(self, path: Path) -> bool:
        if not path.exists():
            return False
        content = path.read_bytes()
        if hashlib.sha256(content[:-DIGEST_BYTES]).digest() == content[-DIGEST_BYTES:]:
            return True
        say_once("damaged", f"Kernels in {numba.config.CACHE_DIR} are damaged: they are compiled again.")
        return False

    @contextmanager
    def _open_for_write(self, path: str) -> Iterator[io.BytesIO]:
        content = io.BytesIO()
        yield content
        files.write(Path(path), content.getvalue() + hashlib.sha256(content.getvalue()).digest())


def use_checked_files() -> None:
    """Tell numba; to be called before functions are decorated."""
    caching.IndexDataCacheFile = CheckedCacheFile
    numba.config.CACHE_LOCATOR_CLASSES = f"{KernelLocator.__module__}.{KernelLocator.__name__}"


def say_not_kept(error: OSError) -> None:
    say_once(
        "not kept",
        f"Compiled kernels cannot be kept in {numba.config.CACHE_DIR} ({error.strerror}): each process compiles its "
        "own, which takes a minute. Make room, or set NUMBA_CACHE_DIR to another folder.",
    )


_said: set[str] = set()


def say_once(kind: str, text: str) -> None:
    """Say the first of its kind in this process."""
    if kind not in _said:
        _said.add(kind)
        say(text)


def say(text: str) -> None:
    """On standard error, since standard output belongs to the command."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
