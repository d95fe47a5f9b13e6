"""The MLflow store: a client of it, and one experiment and run in it, whoever else is making them at the moment."""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rlx2_ray import files
from rlx2_ray.tracking.tags import TRIAL_KEY
from rlx2_ray.tracking.uri import DATABASES, scheme_of

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

SQLITE_WAIT_S = 3.0
_START_LOCK_WAIT_S = 60.0  # a schema migration takes seconds, and other processes may be queueing for it

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # MLflow and alembic print tracebacks of what the tracker says in a sentence
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout belongs to the command
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",  # seconds; with its one retry, a silent server costs `start` and each try 12 s
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # a server could ask for minutes
}


def import_mlflow(uri: str) -> None:
    """Import what a client of the store needs: a second's work, which therefore waits for the first use.

    MLflow also reads some of its environment then.
    """
    import logging

    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # MLflow's own tables use what SQLAlchemy 2.1 is about to drop. For good, since a filter cannot be put back safely
    # while another thread runs.
    warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated", DeprecationWarning)
    if "mlflow.tracking" not in sys.modules:
        with _no_garbage_collection():
            _import_parts(uri)
    # A refused connection is retried with a warning; the tracker says it once, in its own words.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def _import_parts(uri: str) -> None:
    import mlflow.tracking

    if scheme_of(uri) in DATABASES:
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
        import sqlalchemy.orm

        sqlalchemy.orm.configure_mappers()  # else the first query does it, while others wait for the database


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """For imports: a million objects that all stay, and looking through them over and over is a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()  # nor are they looked through later
    finally:
        if was_enabled:
            gc.enable()


def make_client(uri: str, database: Path | None) -> MlflowClient:
    """Make a client of the store; a database that is not there yet is created, which takes seconds."""
    from mlflow.tracking import MlflowClient

    if scheme_of(uri) in DATABASES:
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 2  # its ten attempts at an absent database would sleep for 100 s
    if database is not None:
        if not database.exists():
            _create_database(database)
        check_writable(database)
    return MlflowClient(uri)


def _create_database(database: Path) -> None:
    """Make the tables aside and rename: a database whose first migration was killed half way can never be opened."""
    from mlflow.store.db import utils

    aside = Path(f"{database}.new")
    for leftover in (aside, Path(f"{aside}-journal")):
        leftover.unlink(missing_ok=True)
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{aside}")
    utils._initialize_tables(engine)
    engine.dispose()
    files.move(aside, database)


def check_writable(database: Path) -> None:
    """Fail within `SQLITE_WAIT_S` where MLflow would wait 20 s for a lock or retry what cannot be opened."""
    with closing(sqlite3.connect(database, timeout=SQLITE_WAIT_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


@contextmanager
def alone_with(database: Path | None) -> Iterator[None]:
    """Hold the lock file beside a SQLite database: two processes must not create its tables, or one run, at once."""
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with files.lock(Path(f"{database}.lock"), _START_LOCK_WAIT_S):
        yield


def find_or_create_experiment(client: MlflowClient, name: str, artifact_location: str | None) -> str:
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    try:
        return str(client.create_experiment(name, artifact_location))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    created_meanwhile = client.get_experiment_by_name(name)
    return str(created_meanwhile.experiment_id)


def find_or_create_run(
    client: MlflowClient, experiment_id: str, name: str, trial_key: str, tags: Mapping[str, str]
) -> Run:
    """Find or make the run of a trial key, and set it running; `tags` are only for a new one."""
    quote = '"' if "'" in trial_key else "'"
    query = f"tags.`{TRIAL_KEY}` = {quote}{trial_key}{quote}"
    # The oldest of several: a request to create a run that timed out may have arrived all the same.
    found = client.search_runs([experiment_id], query, max_results=1, order_by=["attributes.start_time ASC"])
    if not found:
        return client.create_run(experiment_id, tags={TRIAL_KEY: trial_key, **tags}, run_name=name)
    client.update_run(found[0].info.run_id, status="RUNNING")
    return client.get_run(found[0].info.run_id)


def root_cause(error: BaseException) -> str:
    """The innermost error in one line: what MLflow and its drivers wrap around it fills a screen."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")
