"""One process at a time works in a folder."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rlx2_ray.runs.lock import FolderLock
from rlx2_ray.types import BadInput
from tests.support.runs import environment

HOLDER = """
import sys
from pathlib import Path
from rlx2_ray.runs.lock import FolderLock

lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def refusal(folder: Path, wait_s: float = 0.0) -> str:
    with closing_lock(FolderLock(folder)) as lock, pytest.raises(BadInput) as refused:
        lock.acquire(wait_s)
    return str(refused.value)


@contextmanager
def closing_lock(lock: FolderLock) -> Iterator[FolderLock]:
    try:
        yield lock
    finally:
        lock.release()


def test_folder_in_use_is_refused_at_once(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path):
        started = time.monotonic()
        assert refusal(tmp_path) == f"{tmp_path} is in use by another process: wait for it or stop it."
        assert time.monotonic() - started < 5


def test_lock_goes_with_a_process_that_is_killed(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path):
        pass
    with closing_lock(FolderLock(tmp_path)) as lock:
        lock.acquire()


def test_waits_for_a_process_that_ends(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path) as process:
        timer = threading.Timer(0.3, process.kill)
        timer.start()
        with closing_lock(FolderLock(tmp_path)) as lock:
            lock.acquire(wait_s=30)
        timer.join()


def test_waits_no_longer_than_it_is_told(tmp_path: Path) -> None:
    with held_by_another_process(tmp_path):
        started = time.monotonic()
        assert "in use" in refusal(tmp_path, wait_s=0.3)
        assert 0.3 < time.monotonic() - started < 5


def test_released_folder_can_be_locked_again(tmp_path: Path) -> None:
    for _ in range(2):
        with closing_lock(FolderLock(tmp_path)) as lock:
            lock.acquire()
            assert "in use" in refusal(tmp_path)


def test_release_of_what_was_never_held(tmp_path: Path) -> None:
    FolderLock(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


def test_refused_lock_takes_nothing_from_its_holder(tmp_path: Path) -> None:
    """A process that closes a file drops its locks of it where they are POSIX locks; these are not."""
    with closing_lock(FolderLock(tmp_path)) as lock:
        lock.acquire()
        for _ in range(2):
            assert "in use" in refusal(tmp_path)


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent") == (
        f"{tmp_path}/absent cannot be written to (No such file or directory): make it writable, or make room."
    )
