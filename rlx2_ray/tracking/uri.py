"""Tracking URIs: which are ones at all, and what they name from whatever folder they are read."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from pathlib import Path

from rlx2_ray.types import BadInput

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks")


def default_tracking_uri() -> str:
    """The URI that is used where the user names none."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


def resolve_tracking_uri(uri: str) -> str:
    """The URI with its file path made absolute, so that a resume from another folder finds the same store."""
    scheme = scheme_of(uri)
    if scheme == "sqlite":
        return _absolute_sqlite_uri(uri)
    if scheme in ("", "file"):
        return _absolute_folder_uri(uri)
    if scheme in (*DATABASES, *_SERVERS) or entry_points(group="mlflow.tracking_store", name=scheme):
        return uri
    raise BadInput(
        f"The tracking URI {without_password(uri)!r} has the scheme {scheme!r}, which MLflow does not know: "
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
        raise BadInput(f"The tracking URI {uri!r} names no database file: write it like {DEFAULT_TRACKING_URI}.")
    return f"{scheme}:///{os.path.abspath(path)}{question_mark}{options}"


def _absolute_folder_uri(uri: str) -> str:
    if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in ("true", "1"):
        raise BadInput(
            f"The tracking URI {uri!r} names a folder, which MLflow no longer accepts as a store: "
            f"give a database such as {DEFAULT_TRACKING_URI}, or set MLFLOW_ALLOW_FILE_STORE=true."
        )
    return uri if uri.startswith("file:") else Path(uri).absolute().as_uri()


def sqlite_file(uri: str) -> Path | None:
    """The database file of a resolved URI; None where the store is not SQLite."""
    return Path(uri.partition(":///")[2].partition("?")[0]) if scheme_of(uri) == "sqlite" else None


def without_password(text: str) -> str:
    return re.sub(r"://[^@/\s]*@", "://", text)
