"""What keeps a Ray of our own to its user: a folder that nobody else can enter, and a token that only it knows.

Whoever can speak to a Ray can have any code run as its user, and all users of a machine reach what listens on loopback.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rlx2_ray import files
from rlx2_ray.types import BadInput

PREFIX = "rlx2-ray-"
LOCK = "in-use"  # held while the folder's Ray lives
OWN = "r"  # Ray opens its own folder to everyone, so it has one inside that with mode 0700
LONGEST = (
    40  # characters of the folder's path; below it Ray has sockets, whose paths may have 107 on Linux, 103 on macOS
)
FALLBACK = "/tmp"  # where TMPDIR is too long


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make one for what a Ray writes, which others cannot enter, and remove it afterwards, with those of killed ones.

    It lies in the folder for temporary files ($TMPDIR), or in /tmp where that has too long a path for Ray's sockets.
    Raises BadInput where neither will do.
    """
    folder = _make()
    _remove_left_behind(folder.parent)
    with files.lock(folder / "new"):
        (folder / "new").rename(folder / LOCK)  # nobody finds the lock before it is held
        (folder / OWN).mkdir()
        try:
            yield folder / OWN
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _make() -> Path:
    problem = "its path is too long for the sockets of Ray"
    for place in dict.fromkeys((tempfile.gettempdir(), FALLBACK)):
        if len(os.fsencode(place)) + 1 + len(PREFIX) + 8 > LONGEST:  # mkdtemp draws 8 characters
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError as error:
            problem = f"{place}: {error.strerror}"
    raise BadInput(
        f"TMPDIR is {tempfile.gettempdir()}, where Ray cannot keep its temporary files ({problem}): set it to a folder "
        f"with a path of at most {LONGEST - len(PREFIX) - 9} characters that can be written to."
    )


def _remove_left_behind(place: Path) -> None:
    """Remove folders whose process was killed; those of other users, and what cannot be removed, stay."""
    for folder in place.glob(f"{PREFIX}*"):
        lock = folder / LOCK
        with suppress(OSError):
            if not folder.is_symlink() and folder.stat().st_uid == os.getuid() and lock.exists():
                with files.lock(lock, wait_s=0.0):
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def private_token() -> Iterator[None]:
    """Have a Ray that is started meanwhile ask for a token drawn at random, which its processes have from this one."""
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    _read_again()
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})
        _read_again()


def _read_again() -> None:
    """Ray keeps what it has read of mode and token for the life of a process."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # compiled

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
