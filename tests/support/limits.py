"""Limits of this process, for a while."""

from __future__ import annotations

import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from numba.core import event


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A write beyond `size` bytes of a file fails as on a full disk, though with other words: "File too large"."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def within_seconds_and_bytes(seconds: float, size: int) -> Iterator[None]:
    """Fails where more time of a core, without compiling kernels, or more memory is taken inside."""
    compiling: list[float] = []
    begun, before = time.process_time(), _peak_bytes(anew=True)
    with event.install_timer("numba:compiler_lock", compiling.append):
        yield
    assert time.process_time() - begun - sum(compiling) < seconds
    assert _peak_bytes() - before < size


def _peak_bytes(anew: bool = False) -> int:
    """The most memory that this process has had; `anew`: from now on."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(peak)
