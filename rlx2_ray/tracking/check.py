"""Can a tracking store be used at all? Asked before a sweep starts: a single run would only warn and go on without."""

from __future__ import annotations

import os
import socket
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rlx2_ray.tracking.store import check_writable, import_mlflow, root_cause
from rlx2_ray.tracking.uri import (
    DATABASES,
    DEFAULT_TRACKING_URI,
    redacted,
    resolve_tracking_uri,
    scheme_of,
    sqlite_file,
)
from rlx2_ray.types import BadInput

ANSWER_WAIT_S = 5.0
_OTHER_STORE = f"give another one, such as {DEFAULT_TRACKING_URI}"


def check_store(uri: str) -> None:
    """Look whether a store can be used.

    Raises BadInput where it is out of reach, cannot be written, or is of another MLflow.

    A database that is not there yet is fine, and is not made here.
    """
    uri = resolve_tracking_uri(uri)
    scheme = scheme_of(uri)
    if scheme in ("http", "https"):
        _check_server(uri)
    elif scheme == "file":
        _check_folder(uri, Path(unquote(urlsplit(uri).path)))
    elif scheme not in DATABASES:
        _check_by_use(uri)
    elif _exists(uri):
        _check_schema(uri)


def _refusal(uri: str, reason: str, remedy: str) -> BadInput:
    return BadInput(f"The tracking URI {redacted(uri)!r} cannot be used ({redacted(reason)}): {remedy}.")


@contextmanager
def _refusing(uri: str, remedy: str) -> Iterator[None]:
    """Whatever a store, its driver or the network raises, as BadInput."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        raise _refusal(uri, root_cause(error), remedy) from None


def _exists(uri: str) -> bool:
    """Whether the database is there. Raises BadInput where it cannot be written, or cannot be made."""
    database = sqlite_file(uri)
    if database is None:
        return True
    _check_folder(uri, database.parent)  # SQLite makes a journal beside the file, and the tracker a lock and artifacts
    if not database.exists():
        return False
    # Not by opening it: when this process closes a file, it drops its locks of it, SQLite's too.
    if not os.access(database, os.R_OK | os.W_OK, effective_ids=True):
        raise _refusal(uri, f"{database} cannot be written: Permission denied", _OTHER_STORE)
    try:
        check_writable(database)
    except sqlite3.Error as error:
        remedy = "end the program that holds it" if "locked" in str(error) else _OTHER_STORE
        raise _refusal(uri, str(error), remedy) from None
    return True


def _check_folder(uri: str, folder: Path) -> None:
    """Raises BadInput where a file could not be made in the folder, even after making the folder."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        tempfile.TemporaryFile(dir=nearest).close()  # by trying: rights are not all that can be in the way
    except OSError as error:
        raise _refusal(uri, f"nothing can be written in {nearest}: {error.strerror}", _OTHER_STORE) from None


def _check_schema(uri: str) -> None:
    """Raises BadInput for a database that does not answer, or whose tables are not those of this MLflow."""
    with _refusing(uri, f"start its server and install its driver, or {_OTHER_STORE}"):
        import_mlflow(uri)
        tables, revision = _tables_and_revision(uri)
    if not tables:
        return
    if not {"experiments", "runs"} <= tables:
        raise _refusal(uri, "it is the database of another program", _OTHER_STORE)
    check_revision(uri, revision)


def check_revision(uri: str, revision: str | None) -> None:
    """Look at a revision of tables.

    Raises BadInput where those of a database are not those of this MLflow. None: they say nothing of it.
    """
    known, newest = _revisions()
    if revision == newest:
        return
    if revision is None or revision in known:
        remedy = f"save a copy of it, then run 'mlflow db upgrade {redacted(uri)}'"
        raise _refusal(uri, "it is the database of an older MLflow", remedy)
    raise _refusal(
        uri,
        f"it is the database of an MLflow newer than {version('mlflow')}",
        f"install that one, give the address of its 'mlflow server', or {_OTHER_STORE}",
    )


def _tables_and_revision(uri: str) -> tuple[set[str], str | None]:
    import sqlalchemy
    from mlflow.store.db import utils

    _check_port(sqlalchemy.make_url(uri))
    engine = utils.create_sqlalchemy_engine(uri)
    try:
        tables = set(sqlalchemy.inspect(engine).get_table_names())
        return tables, utils._get_schema_version(engine) if tables else None
    finally:
        engine.dispose()


def _check_port(url: Any) -> None:
    """Not all drivers give up on a machine that does not answer as soon as this does."""
    if url.host and url.port:
        socket.create_connection((url.host, url.port), ANSWER_WAIT_S).close()


def _revisions() -> tuple[set[str], str | None]:
    """All revisions of the tables that the installed MLflow knows, and the newest."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    scripts = ScriptDirectory.from_config(utils._get_alembic_config(""))
    return {script.revision for script in scripts.walk_revisions()}, scripts.get_current_head()


def _check_server(uri: str) -> None:
    """Raises BadInput where no MLflow server answers in `ANSWER_WAIT_S`."""
    remedy = f"start a server there with 'mlflow server', or {_OTHER_STORE}"
    with _refusing(uri, remedy):
        import_mlflow(uri)
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request

        answer = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/search",
            "POST",
            max_retries=0,
            timeout=ANSWER_WAIT_S,
            raise_on_status=False,
            json={"max_results": 1},
        )
    if answer.status_code in (401, 403):
        credentials = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        raise _refusal(uri, "it does not let you in", f"set {credentials} or MLFLOW_TRACKING_TOKEN")
    if answer.status_code != 200 or "json" not in answer.headers.get("Content-Type", ""):
        raise _refusal(uri, f"it does not answer as an MLflow server, but with {answer.status_code}", remedy)


def _check_by_use(uri: str) -> None:
    """A store that only its plugin knows."""
    with _refusing(uri, _OTHER_STORE):
        import_mlflow(uri)
        from mlflow.tracking import MlflowClient

        MlflowClient(uri).search_experiments(max_results=1)
