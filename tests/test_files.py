"""Files are whole or what they were; locks are held by one process at a time."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rlx2_ray import files
from tests.support.limits import files_no_larger_than

LARGE = "x" * 100_000


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("content", "read"), [("é\n", b"\xc3\xa9\n"), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_content_takes_the_place_of_what_was_there(tmp_path: Path, content: str | bytes, read: bytes) -> None:
    (tmp_path / "file").write_text(LARGE)
    files.write(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == read
    assert names(tmp_path) == ["file"]


def test_file_has_the_mode_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    files.write(tmp_path / "file", "")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("before", [None, "from an earlier time"])
def test_what_cannot_be_written_whole_leaves_what_was_there(tmp_path: Path, before: str | None) -> None:
    if before:
        (tmp_path / "file").write_text(before)
    with files_no_larger_than(4096), pytest.raises(OSError, match="File too large"):
        files.write(tmp_path / "file", LARGE)
    assert [path.read_text() for path in tmp_path.iterdir()] == ([before] if before else [])


def write_half(path: Path) -> None:
    with files.replacing(path) as file:
        file.write(b"half")
        raise KeyError


def test_writer_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_half(tmp_path / "file")
    assert names(tmp_path) == []


def test_link_at_the_name_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "file").symlink_to("precious")
    files.write(tmp_path / "file", "new")
    assert (tmp_path / "precious").read_text() == "kept"
    assert (tmp_path / "file").read_text() == "new"


def test_moved_folder_and_copied_file_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a name stands for is on the disk before the name, and the name before the call returns."""
    (tmp_path / "old" / "inner").mkdir(parents=True)
    (tmp_path / "old" / "inner" / "file").write_text("content")
    synced: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    files.move(tmp_path / "old", tmp_path / "new")
    assert sorted(synced[:-1]) == ["file", "inner", "old"]
    assert synced[-1] == tmp_path.name
    del synced[:]
    files.copy(tmp_path / "new" / "inner" / "file", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "content"
    assert synced[0].startswith(".copy.")
    assert synced[-1] == tmp_path.name


def test_nothing_is_renamed_or_copied_but_by_this_module() -> None:
    """A power cut may leave an empty file of a name that was given without the syncs."""
    package = Path(files.__file__).parent
    modules = {path: path.read_text() for path in package.rglob("*.py") if path != package / "files.py"}
    naming = re.compile(r"\.rename\(|os\.replace\(|\b(aside|path|file)\.replace\(|shutil\.(move|copyfile)\b")
    assert sorted(str(path.relative_to(package)) for path, text in modules.items() if naming.search(text)) == [
        "distributed/private.py",  # a folder of this boot
        "plugin_copies.py",  # held against the digest of its original whenever it is used
        "sweep/trials/trial.py",  # into a folder of Ray Tune, which nobody reads after a kill
    ]


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dying = "import os, sys; from pathlib import Path; from rlx2_ray import files\n"
    dying += "with files.replacing(Path(sys.argv[1])) as file: file.write(b'half'); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", dying, str(tmp_path / "file")], check=False).returncode == 9
    (tmp_path / ".hidden").touch()
    assert len(names(tmp_path)) == 2
    files.remove_unfinished(tmp_path)
    assert names(tmp_path) == [".hidden"]


def test_digest_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert files.sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_reading_gives_the_content_up_to_a_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert files.read(tmp_path / "file", 3) == b"abc"
    with pytest.raises(OSError, match="3 bytes, more than the 2 that such a file has"):
        files.read(tmp_path / "file", 2)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socket"])
def test_reading_of_what_is_no_regular_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "folder": Path.mkdir, "socket": listen}[
        kind
    ](path)
    with pytest.raises(OSError, match=r"not a regular file|Is a directory|No such device"):
        files.read(path, 100)


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


def test_linked_file_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("content")
    files.link_or_copy(tmp_path / "one", tmp_path / "two")
    assert os.path.samefile(tmp_path / "one", tmp_path / "two")


def test_lock_is_refused_while_it_is_held_and_free_again_after(tmp_path: Path) -> None:
    with files.lock(tmp_path / "lock"), pytest.raises(TimeoutError, match="another process holds"):
        files.lock(tmp_path / "lock", wait_s=0.0)
    files.lock(tmp_path / "lock", wait_s=0.0).close()


def test_waiting_for_a_lock_ends_when_its_process_dies(tmp_path: Path) -> None:
    holding = "import sys, time; from pathlib import Path; from rlx2_ray import files\n"
    holding += "held = files.lock(Path(sys.argv[1])); print(flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", holding, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(TimeoutError):
            files.lock(tmp_path / "lock", wait_s=0.2)
    finally:
        holder.kill()
        holder.communicate()
    files.lock(tmp_path / "lock").close()
