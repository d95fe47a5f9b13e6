"""What Linux tells of processes, against processes that are known."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from rlx2_ray.bench.processes import process_tree, read_process

MEGABYTES = 60
CHILD = f"""
import subprocess, sys, threading, time
memory = b"x" * {MEGABYTES * 10**6}
is_burnt = threading.Event()
def burn():
    while time.thread_time() < 0.4:
        pass
def burn_and_stay():
    burn()
    is_burnt.set()
    time.sleep(60)
threading.Thread(target=burn_and_stay, daemon=True).start()
burn()
is_burnt.wait()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "the grandchild"])
print("ready", flush=True)
sys.stdin.read()
child.kill()
child.wait()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", CHILD, "the child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate("")


def test_tree_has_all_that_came_from_a_process(child: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while len(process_tree(child.pid)) < 2 or "grandchild" not in process_tree(child.pid)[1].title:
        assert time.monotonic() < deadline  # the grandchild is still on its way to its own command line
    found = process_tree(os.getpid())
    assert [process.pid for process in found[:1]] == [os.getpid()]
    assert {process.title.split()[-1] for process in found if "time.sleep" in process.title} == {"child", "grandchild"}
    assert process_tree(child.pid)[0].pid == child.pid


def test_memory_and_core_time_are_those_that_a_process_took(child: subprocess.Popen[str]) -> None:
    process = read_process(child.pid)
    assert process is not None
    assert MEGABYTES * 1e6 < process.pss_bytes <= process.rss_bytes < (MEGABYTES + 50) * 1e6
    assert 0.8 < process.cpu_s < 5, "of both threads"
    assert 3 <= process.open_files < 20


def test_a_process_that_has_ended_is_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        assert read_process(process.pid) is None
