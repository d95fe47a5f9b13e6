"""A Ray of our own: other users can neither speak to it nor see what it writes, and nothing of it stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rlx2_ray.distributed.private import LONGEST, PREFIX, private_folder
from rlx2_ray.types import BadInput
from tests.distributed.test_head import variables
from tests.support.runs import ended, environment, family

NOBODY = 65534
HOST = """
import os, sys
import ray
from rlx2_ray.distributed.cluster import own_ray
with own_ray(1):
    ray.get(ray.remote(lambda: 7).remote())
    print(os.environ["RAY_AUTH_TOKEN"], ray.get_runtime_context().gcs_address, file=sys.stderr, flush=True)
    input()
"""
ASK = "import sys; from rlx2_ray.distributed.head import check_head; check_head(sys.argv[1]); print('joined')"


class Host(NamedTuple):
    process: subprocess.Popen[str]
    token: str
    address: str
    folder: Path
    temporary: Path


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A process with a Ray of its own, as a run on actors or a sweep has."""
    temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))  # pytest's own folders have long paths
    temporary.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOST],
        env=environment() | {"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with ended(process):
        assert process.stderr is not None
        token, address = process.stderr.readline().split()
        (folder,) = temporary.glob(f"{PREFIX}*")
        yield Host(process, token, address, folder, temporary)
    shutil.rmtree(temporary)


def ask(host: Host, **changes: str) -> str:
    """What a process says that asks whether it may join."""
    command = [sys.executable, "-W", "ignore", "-c", ASK, host.address]
    done = subprocess.run(
        command, env=variables(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", **changes), capture_output=True, text=True
    )
    return done.stdout + done.stderr


def test_only_who_has_the_token_can_speak_to_it(host: Host) -> None:
    assert ask(host, RAY_AUTH_TOKEN=host.token) == "joined\n"
    for other in ({"RAY_AUTH_TOKEN": "b" * 64}, {"RAY_AUTH_MODE": "disabled"}):
        assert "does not know the token of this process" in ask(host, **other)


def test_its_files_are_for_its_user_alone(host: Host) -> None:
    assert stat.S_IMODE(host.folder.stat().st_mode) == 0o700
    assert list(host.folder.glob("*/session_*/sockets/*")), "the test saw where Ray writes"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_reads_neither_its_files_nor_its_token(host: Host) -> None:
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    assert subprocess.run([*as_nobody, "ls", host.temporary], capture_output=True).returncode == 0
    for path in (host.folder, f"/proc/{host.process.pid}/environ"):
        done = subprocess.run([*as_nobody, "ls" if path == host.folder else "cat", path], capture_output=True)
        assert (done.returncode != 0, done.stdout) == (True, b"")


def test_no_command_line_has_the_token(host: Host) -> None:
    lines = [" ".join(process.cmdline()) for process in family(host.process)]
    assert len(lines) > 3, "the test saw Ray's servers"
    assert [line for line in lines if host.token in line] == []


def test_nothing_stays_behind(host: Host) -> None:
    """This is the last one, since it ends the host."""
    assert host.process.stdin is not None
    host.process.communicate("done\n", timeout=60)
    assert [path.name for path in host.temporary.iterdir() if path.name.startswith(PREFIX)] == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlx2_ray.distributed.private.LONGEST", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = "import os, signal\nfrom rlx2_ray.distributed.private import private_folder\n"
    program += "with private_folder(): os.kill(os.getpid(), signal.SIGKILL)"
    short = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    killed = subprocess.run([sys.executable, "-c", program], env=environment() | {"TMPDIR": str(short)})
    assert killed.returncode == -signal.SIGKILL
    (left,) = short.iterdir()
    left.rename(tmp_path / left.name)
    short.rmdir()
    with private_folder() as living, private_folder() as other:
        assert sorted(tmp_path.iterdir()) == sorted([living.parent, other.parent])
    assert list(tmp_path.iterdir()) == []


def test_a_long_tmpdir_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * LONGEST)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with private_folder() as folder:
        assert folder.parent.parent == Path("/tmp")


def test_where_no_folder_will_do_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * LONGEST)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setattr("rlx2_ray.distributed.private.FALLBACK", str(long))
    with pytest.raises(BadInput, match=f"^TMPDIR is {long}, where Ray cannot keep .*: set it to"), private_folder():
        pass
