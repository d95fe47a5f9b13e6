"""Files that are whole whatever happens to the process or the machine, and folders that one process works in."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import math
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

UNFINISHED = ".unfinished"  # ending of the names of files that are being written
POLL_S = 0.1


def write(path: Path, content: str | bytes) -> None:
    """Write a file so that its name stands for all of the content or, after a failure, for what it stood for before.

    Raises OSError where there is no room.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def read(path: Path, most: int, follow: bool = True) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises OSError for anything else: a pipe could let its reader wait for ever, a device never comes to an end, and a
    file of somebody else could be larger than the memory. `follow` False: nor of a link.
    """
    with open(path, "rb", opener=_open_without_waiting if follow else _open_itself_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"{status.st_size} bytes, more than the {most} that such a file has", str(path))
        return file.read(most)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _open_itself_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def append(path: Path, text: str) -> None:
    """Add to the end of a file, made where it is missing. Raises OSError where there is no room, or the path is a link.

    What is added has reached the disk then.
    """
    with open_to_append(path) as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def open_to_append(path: Path, mode: int = 0o666) -> IO[bytes]:
    """The regular file, made where it is missing. Raises OSError for anything else: a link could lead anywhere.

    `mode`: of a new file, before it has any content.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    file = os.fdopen(descriptor, "ab")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def first_link(folder: Path) -> Path | None:
    """A symbolic link somewhere below a folder, if there is one; what others remove meanwhile is none."""
    folders = [str(folder)]
    while folders:
        inner = folders.pop()
        with suppress(FileNotFoundError) if inner != str(folder) else nullcontext(), os.scandir(inner) as entries:
            for entry in entries:
                if entry.is_symlink():
                    return Path(entry.path)
                if entry.is_dir():
                    folders.append(entry.path)
    return None


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file beside `path`, which takes its place at the end and is removed where anything fails.

    Its content reaches the disk before its name does, or a power cut could leave an empty file of that name. Its own
    name is drawn at random: several processes may write one file, and nobody can have put a link there.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)  # what it holds has been synced
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def move(source: Path, target: Path) -> None:
    """Give a file or a folder another name, in whose place nothing is or a file, when all that it holds is durable."""
    for path in (source, *(source.rglob("*") if source.is_dir() else ())):
        sync(path)
    source.replace(target)
    sync(target.parent)


def copy(source: Path, target: Path) -> None:
    """Make `target` a copy of a file, whole or not at all."""
    with replacing(target) as file, source.open("rb") as content:
        shutil.copyfileobj(content, file)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that were killed had not finished writing; to be called by who has the folder alone."""
    for path in folder.glob(f".*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable: a rename may otherwise reach the disk before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_or_copy(source: str | Path, destination: str | Path) -> None:
    """Let a file that is never written to again stand in two places."""
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, destination)


def sha256_of(path: Path) -> str:
    """The digest of a file's content, in hexadecimal. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(path: Path, wait_s: float = math.inf) -> IO[bytes]:
    """The lock file, made where it is missing, as soon as no other process holds it.

    The lock goes when the file is closed, as by `with`, or with the process. Raises TimeoutError where another process
    still holds it after `wait_s`, and any other OSError where the file cannot be written, or is a link.
    """
    deadline = time.monotonic() + wait_s
    file = open_to_append(path)
    try:
        while not _try_to_lock(file):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process holds {path}")
            time.sleep(POLL_S)
    except BaseException:
        file.close()
        raise
    return file


def _try_to_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
