"""Tracking URIs: which are ones at all, what they name from whatever folder they are read, and what in them is secret.

A secret, such as a password, stands in no file, tag, page, message or list of processes. The whole URI is in the
environment of a process alone, where the processes that it starts find it; everything else has `***` in its place.
"""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from pathlib import Path

from rlx2_ray.types import BadInput

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks")
VARIABLE = "MLFLOW_TRACKING_URI"
DEFAULT_EXPERIMENT = "rlx2"
HIDDEN = "***"  # in place of a secret
# A name alone may be a token; where a slash in a password should be quoted, all of it goes.
_OF_SERVER = re.compile(r"(?i)\b(https?://)(?:[^/?#\s]+@|[^:/@?#\s]*:(?!\d*(?:[/?#\s]|$))[^@\s]*@)")
# As SQLAlchemy reads it, a password may have a slash; where it has an @ that should be quoted, all of it goes.
_OF_DATABASE = re.compile(r"(?i)(?<!http)(?<!https)(://[^:/@?#\s]*:)[^@\s]+@(?:[^@/?#\s]*@)*")
_OF_OPTION = re.compile(
    r"(?i)([?&;](?:[^=&;\s]*(?:pass(?!file)|pwd|token|secret|credential|signature|api_?key|access_?key)[^=&;\s]*"
    r"|key|sig|odbc_connect)=)[^&;#\s'\")]+"
)


def default_tracking_uri() -> str:
    """The URI that is used where the user names none."""
    return os.environ.get(VARIABLE) or DEFAULT_TRACKING_URI


def default_experiment() -> str:
    """The name of the experiment that is used where the user names none."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT


def redacted(text: str) -> str:
    """The text with `***` for every secret of the URIs in it."""
    text = _OF_SERVER.sub(rf"\1{HIDDEN}@", text)
    text = _OF_DATABASE.sub(rf"\1{HIDDEN}@", text)
    return _OF_OPTION.sub(rf"\1{HIDDEN}", text)


def hide_secret(uri: str) -> str:
    """The resolved URI as it may be written down; the whole of it stays in the environment. Raises BadInput."""
    whole = resolve_tracking_uri(uri)
    if redacted(whole) != whole:
        os.environ[VARIABLE] = whole
    return redacted(whole)


def _with_secret(uri: str) -> str:
    """The whole of a URI that was written down."""
    whole = os.environ.get(VARIABLE, "")
    if HIDDEN not in whole and whole and redacted(resolve_tracking_uri(whole)) == uri:
        return whole
    raise BadInput(f"The tracking URI {uri} is kept without its secret: set {VARIABLE} to the whole of it.")


def resolve_tracking_uri(uri: str) -> str:
    """The URI with its secret, and its file path made absolute, so that a resume from another folder finds the store.

    Raises BadInput.
    """
    if redacted(uri) == uri and HIDDEN in uri:
        uri = _with_secret(uri)
    scheme = scheme_of(uri)
    if scheme == "sqlite":
        return _absolute_sqlite_uri(uri)
    if scheme in ("", "file"):
        return _absolute_folder_uri(uri)
    if re.search(r"\s", uri):
        raise BadInput("The tracking URI has a space or a line's end in it: leave it out, or write %20.")
    if scheme in (*DATABASES, *_SERVERS) or entry_points(group="mlflow.tracking_store", name=scheme):
        return uri
    raise BadInput(
        f"The tracking URI {redacted(uri)!r} has the scheme {scheme!r}, which MLflow does not know: "
        f"give a database such as {DEFAULT_TRACKING_URI} or a server such as http://localhost:5000."
    )


def scheme_of(uri: str) -> str:
    """The part of a URI before the colon.

    "mysql" for "mysql+pymysql", where the driver is chosen too; "" for a path.
    """
    if uri == "databricks":  # the one server that MLflow knows by a bare word
        return uri
    scheme, colon, _ = uri.partition(":")
    return scheme.partition("+")[0].lower() if colon else ""


def _absolute_sqlite_uri(uri: str) -> str:
    scheme, separator, rest = uri.partition(":///")
    path, question_mark, options = rest.partition("?")
    if not separator or path in ("", ":memory:"):
        raise BadInput(
            f"The tracking URI {redacted(uri)!r} names no database file: write it like {DEFAULT_TRACKING_URI}."
        )
    return f"{scheme}:///{os.path.abspath(path)}{question_mark}{options}"


def _absolute_folder_uri(uri: str) -> str:
    if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in ("true", "1"):
        raise BadInput(
            f"The tracking URI {redacted(uri)!r} names a folder, which MLflow no longer accepts as a store: "
            f"give a database such as {DEFAULT_TRACKING_URI}, or set MLFLOW_ALLOW_FILE_STORE=true."
        )
    return uri if uri.startswith("file:") else Path(uri).absolute().as_uri()


def artifacts_beside(database: Path) -> str:
    """The URI of the folder of a database's artifacts; MLflow's own choice is below that of the process."""
    return (database.parent / "mlartifacts").as_uri()


def sqlite_file(uri: str) -> Path | None:
    """The database file of a resolved URI; None where the store is not SQLite."""
    return Path(uri.partition(":///")[2].partition("?")[0]) if scheme_of(uri) == "sqlite" else None
