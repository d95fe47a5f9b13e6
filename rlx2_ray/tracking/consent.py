"""Which stores are the person's own: a directory may come from somebody else, and it says where it is tracked.

Whoever is spoken to gets the credentials that MLflow finds (MLFLOW_TRACKING_TOKEN, a password, ~/.netrc), and a
database gets the tables that it lacks. So a store that a file names is used only where the person has named it too:
now, by the environment or an option, or earlier, by a run that was begun with it, which a file of their own keeps. Two
more are known to be harmless: a database on this machine that has this very run already, as those of runs that an
earlier version began, and one that is still to be made inside the directory itself.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from rlx2_ray import remembered
from rlx2_ray.tracking.tags import TRIAL_KEY
from rlx2_ray.tracking.uri import (
    VARIABLE,
    artifacts_beside,
    default_tracking_uri,
    redacted,
    resolve_tracking_uri,
    sqlite_file,
)
from rlx2_ray.types import BadInput

REMEMBERED = "stores"
LONGEST_S = 2.0  # that a database of somebody else may take to answer

_QUERY = """
SELECT runs.artifact_uri FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid WHERE tags.key = ? AND tags.value = ?
"""

_agreed: set[str] = set()  # in this process, which may work for one on another machine


def agree(uri: str) -> None:
    """Let this process use the store, as the person has named it."""
    _agreed.add(_known_as(uri))


def remember(uri: str) -> None:
    """`agree` from now on, in every process of this user; only in this one where their home cannot be written to."""
    agree(uri)
    known = _known_as(uri)
    if "\n" not in known:
        remembered.remember(REMEMBERED, known)


def check_own(uri: str, trial_key: str, folder: Path) -> None:
    """Raises BadInput where the store that a run or a sweep in `folder` names is not known to be the person's own."""
    if not is_own(uri, trial_key, folder):
        raise BadInput(
            f"{folder} says that it is tracked at {_known_as(uri)}, where no run of yours on this machine was: give "
            f"that as --tracking-uri or {VARIABLE} if it is yours, or a store of your own as --tracking-uri."
        )


def is_own(uri: str, trial_key: str, folder: Path) -> bool:
    """Whether the store that a run or a sweep in `folder` names is the person's, as others than the folder say.

    Nothing is looked up by name, written or sent. Raises BadInput for what is no store, or whose secret is not known.
    """
    known = _known_as(uri)
    if known in _agreed:
        return True
    found = known in (_own_default(), *remembered.lines(REMEMBERED)) or _is_harmless(known, trial_key, folder)
    if found:
        remember(uri)
    return found


def _known_as(uri: str) -> str:
    return redacted(resolve_tracking_uri(uri))


def _own_default() -> str | None:
    """None: there is none that could be used."""
    with suppress(BadInput):
        return _known_as(default_tracking_uri())
    return None


def _is_harmless(uri: str, trial_key: str, folder: Path) -> bool:
    database = sqlite_file(uri)
    if database is None or "?" in uri:
        return False
    if not os.path.lexists(database):
        return database.is_relative_to(folder.absolute()) and ".." not in database.parts
    return _has_run(database, trial_key)


def _has_run(database: Path, trial_key: str) -> bool:
    """Whether it is an MLflow database that has the run, with artifacts beside it as this program has them put."""
    deadline = time.monotonic() + LONGEST_S
    beside = f"{artifacts_beside(database)}/"
    try:
        status = database.stat()
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            found = connection.execute(_QUERY, (TRIAL_KEY, trial_key)).fetchmany(2)
    except (OSError, sqlite3.Error):
        return False
    is_own = status.st_uid == os.geteuid()
    return (
        is_own and bool(found) and all(str(place).startswith(beside) and ".." not in str(place) for (place,) in found)
    )
