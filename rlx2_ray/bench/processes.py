"""What the processes of a run really take of memory and cores, as Linux tells it below /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    pid: int
    title: str  # its command line; an actor's is `ray::ITS_CLASS.THE_CALL`
    rss_bytes: int  # resident, with what it shares with others
    pss_bytes: int  # the same, with each shared page divided by those who share it
    cpu_s: float  # of one core, since it began, by the threads that it has now
    open_files: int  # connections among them


def process_tree(root: int) -> list[Process]:
    """Returns the process `root` and all that come from it."""
    parents = _parents()
    found, new = [root], [root]
    while new := [pid for pid, parent in parents.items() if parent in new]:
        found += new
    return [process for pid in found if (process := read_process(pid)) is not None]


def actor_processes(worker: type) -> set[int]:
    """Returns the process ids of those Ray actors of this process whose class is `worker`."""
    title = f"ray::{worker.__name__}"
    return {process.pid for process in process_tree(os.getpid()) if process.title.startswith(title)}


def read_process(pid: int) -> Process | None:
    """Returns what is known of a process, and None where it has ended."""
    try:
        title = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
        open_files = sum(1 for _ in (PROC / str(pid) / "fd").iterdir())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    kilobytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return Process(pid, title, 1024 * kilobytes["Rss"], 1024 * kilobytes["Pss"], cpu_s(pid), open_files)


def cpu_s(pid: int) -> float:
    nanoseconds = 0
    for path in (PROC / str(pid)).glob("task/*/schedstat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            nanoseconds += int(path.read_text().split()[0])
    return 1e-9 * nanoseconds


def _parents() -> dict[int, int]:
    parents = {}
    for path in PROC.glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            _, _, after_name = path.read_text().rpartition(")")  # the name may hold spaces and brackets
            parents[int(path.parent.name)] = int(after_name.split()[1])
    return parents
