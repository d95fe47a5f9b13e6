"""Where compiled code is kept, so that it is compiled once a machine, and by one process even if many start at once.

numba compiles a cached function anew when the file of that function has changed, but not when one that it calls has,
and it does not expect several processes to write at once. So the cache lies in a folder whose name is a digest of all
the sources, and whoever fills it holds a lock.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding as llvm
import numba

from rlx2_ray import files
from rlx2_ray.kernels.cache_file import say, say_not_kept, use_checked_files

PACKAGE = Path(__file__).resolve().parent.parent
SOURCES = ("kernels", "agents", "networks", "types.py")  # with compiled functions, and what they know of others


def use_cache() -> None:
    """Tell numba; to be called before functions are decorated."""
    numba.config.CACHE_DIR = str(cache_directory())
    use_checked_files()


@functools.cache
def cache_directory() -> Path:
    """Returns the folder of this version of the sources, below $NUMBA_CACHE_DIR if that is set."""
    digest = hashlib.sha256(f"{sys.version} {version('numba')} {version('llvmlite')} {version('numpy')}".encode())
    for source in (PACKAGE / name for name in SOURCES):
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(path.read_bytes())
    return _root() / digest.hexdigest()[:16]


def _root() -> Path:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlx2_ray" / "kernels"
    folder = Path(chosen) if chosen else home
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return _temporary_folder()


def _temporary_folder() -> Path:
    """One that nobody else can have put code into; where none can be made, one that cannot be written to."""
    folder = Path(tempfile.gettempdir()) / f"rlx2_ray-{os.getuid()}"
    try:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
            return folder
        return Path(tempfile.mkdtemp(prefix="rlx2_ray-"))
    except OSError:
        return Path(os.devnull) / "kernels"


def compile_once(name: str, run: Callable[[], None]) -> None:
    """Let `run` call all functions that go by `name`, unless a process on such a machine has done so before."""
    directory = cache_directory()
    ready = directory / f"{name}-{_machine()}.ready"
    if ready.exists():
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock: AbstractContextManager[object] = files.lock(directory / "lock")
    except OSError as error:
        say_not_kept(error)
        lock = nullcontext()
    with lock:
        if ready.exists():  # another process has just done it
            return
        say(f"Compiling the kernels of {name} for this machine, which is done once ...")
        started = time.monotonic()
        run()
        try:
            files.write(ready, "ready\n")  # more than a name, which a full disk may have room for
        except OSError as error:
            say_not_kept(error)
        else:
            say(f"... took {time.monotonic() - started:.1f} s; they are kept in {directory}.")


def _machine() -> str:
    """A digest of what numba compiles for: a home folder may be shared by different processors."""
    features = llvm.get_host_cpu_features().flatten()
    return hashlib.sha256(f"{llvm.get_host_cpu_name()} {features}".encode()).hexdigest()[:8]
