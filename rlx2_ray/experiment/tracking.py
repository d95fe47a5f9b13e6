"""MLflow, the only module that imports it: one run per trial, found again by its key, and never a reason to stop."""

from __future__ import annotations

import fcntl
import math
import os
import random
import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from rlx2_ray.types import BadInput

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
TRIAL_KEY_TAG = "rlx2.trial_key"
RETRY_INTERVAL_S = 30.0

Point = Mapping[str, float]  # metric name -> value, and "env_steps", which becomes MLflow's step
Status = Literal["FINISHED", "FAILED", "KILLED"]

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks")
_MAX_METRICS_PER_BATCH = 1000  # MLflow's limit
_MAX_PARAM_LENGTH = 6000  # characters, MLflow's limit
_SQLITE_WAIT_S = 3.0
_SQLITE_TRIES = 3
_START_LOCK_WAIT_S = 60.0  # a schema migration takes seconds, and other processes may be queueing for it

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # MLflow and alembic print tracebacks of what the tracker says in a sentence
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout belongs to the command
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "6",  # seconds; with its one retry, a silent server costs 12 s
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",  # a server could ask for minutes
}


class _OpenRun(NamedTuple):
    """A run that the store has, and the (metric, step) pairs it has of it."""

    client: MlflowClient
    run_id: str
    logged: set[tuple[str, int]]


class _Pending(NamedTuple):
    """A point on its way. It keeps its time, so that MLflow's SQL stores drop what a retry sends twice."""

    timestamp_ms: int
    step: int
    values: dict[str, float]


def resolve_tracking_uri(uri: str) -> str:
    """The URI with its file path made absolute, so that a resume from another folder finds the same store."""
    scheme = _scheme(uri)
    if scheme == "sqlite":
        return _absolute_sqlite_uri(uri)
    if scheme in ("", "file"):
        return _absolute_folder_uri(uri)
    if scheme in (*_DATABASES, *_SERVERS) or entry_points(group="mlflow.tracking_store", name=scheme):
        return uri
    raise BadInput(
        f"The tracking URI {_without_password(uri)!r} has the scheme {scheme!r}, which MLflow does not know: "
        f"give a database such as {DEFAULT_TRACKING_URI} or a server such as http://localhost:5000."
    )


def _scheme(uri: str) -> str:
    """What comes before the colon; "mysql" for "mysql+pymysql", where the driver is chosen too; "" for a path."""
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


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """MLflow's parameters of a nested configuration: keys joined by dots, values as text of MLflow's length at most."""
    flat: dict[str, str] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)[:_MAX_PARAM_LENGTH]
    return flat


class Tracker:
    """One trial's MLflow run.

    What is logged is kept in memory until the store has it. A store that cannot be reached is reported once per
    outage through `warn` and tried again at a later call, `RETRY_INTERVAL_S` apart; no method raises because of it.
    """

    def __init__(
        self,
        tracking_uri: str,
        experiment_name: str,
        trial_key: str,
        run_name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        warn: Callable[[str], None],
        parent_run_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`params` may be nested; `clock` gives seconds and never goes back."""
        self._uri = resolve_tracking_uri(tracking_uri)
        self._database = _sqlite_file(self._uri)
        self._experiment_name = experiment_name
        self._run_name = run_name
        self._identity = {TRIAL_KEY_TAG: trial_key}
        if parent_run_id is not None:
            self._identity["mlflow.parentRunId"] = parent_run_id
        self._params = flatten(params)
        self._warn = warn
        self._clock = clock

        self._run: _OpenRun | None = None
        self._next_attempt: float | None = None  # on `clock`, while the store is out of reach

        self._points: list[_Pending] = []
        self._tags = dict(tags)
        self._artifacts: dict[Path, None] = {}  # a dict, because it keeps the order and drops repetitions
        self._status: Status | None = None

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None while the store has not been reached."""
        return self._run.run_id if self._run is not None else None

    def start(self) -> None:
        """Find the run of this trial key, or create it, and set it running."""
        self._attempt()

    def log(self, points: Sequence[Point]) -> None:
        """Log each (metric, step) that the run does not have yet; a value that is not finite becomes NaN."""
        now_ms = time.time_ns() // 1_000_000
        for point in points:
            values = {name: float(value) for name, value in point.items() if name != "env_steps"}
            self._points.append(_Pending(now_ms, int(point["env_steps"]), values))
        self._attempt_if_due()

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        self._tags.update(tags)
        self._attempt_if_due()

    def log_artifacts(self, paths: Sequence[Path]) -> None:
        """Copy files and folders, under their own names, to the run's artifacts."""
        self._artifacts.update(dict.fromkeys(paths))
        self._attempt_if_due()

    def finish(self, status: Status) -> bool:
        """Deliver what is pending and end the run; True when all of it got there."""
        self._status = status
        return self._attempt()

    def _attempt_if_due(self) -> None:
        if self._next_attempt is None or self._clock() >= self._next_attempt:
            self._attempt()

    def _attempt(self) -> bool:
        try:
            self._deliver_between_writers()
        except Exception as error:  # the store, its driver, the network, the disk: none may stop the training
            self._note_outage(error)
            return False
        self._note_recovery()
        return True

    def _note_outage(self, error: Exception) -> None:
        if self._next_attempt is None:
            self._warn(
                _without_password(
                    f"MLflow at {self._uri} cannot be used now ({_root_cause(error)}): "
                    "the run goes on, keeps its points in memory and tries again."
                )
            )
        self._next_attempt = self._clock() + RETRY_INTERVAL_S

    def _note_recovery(self) -> None:
        if self._next_attempt is not None:
            self._next_attempt = None
            self._warn(_without_password(f"MLflow at {self._uri} works again and has every point."))

    def _deliver_between_writers(self) -> None:
        """Deliver; SQLite has one writer at a time, so a locked database is tried again at a random moment."""
        for _ in range(_SQLITE_TRIES - 1):
            try:
                return self._deliver()
            except Exception as error:
                if "database is locked" not in str(error):
                    raise
            time.sleep(random.uniform(0.05, 0.5))
        self._deliver()

    def _deliver(self) -> None:
        """Send what is pending; each piece is forgotten once it is there, so this can be repeated at any point."""
        if self._run is None:
            self._run = self._open_run()
        elif self._database is not None:
            _check_writable(self._database)
        client, run_id, _ = self._run
        self._send_points(self._run)
        _set_tags(client, run_id, self._tags)
        self._tags.clear()
        # The status goes before the artifacts: they may live in another store, which may be the one that fails.
        if self._status is not None:
            client.set_terminated(run_id, self._status)
            self._status = None
        for path in list(self._artifacts):
            client.log_artifact(run_id, str(path))
            del self._artifacts[path]

    def _open_run(self) -> _OpenRun:
        _import_mlflow()
        with _alone_with(self._database):
            client = _make_client(self._uri, self._database)
            experiment_id = _find_or_create_experiment(client, self._experiment_name, self._artifact_location())
            run = _find_or_create_run(client, experiment_id, self._run_name, self._identity)
        _log_missing_params(client, run, self._params)
        return _OpenRun(client, run.info.run_id, _logged_steps(client, run))

    def _artifact_location(self) -> str | None:
        """Beside the database: MLflow's own choice is ./mlruns of whatever folder the process runs in."""
        return None if self._database is None else (self._database.parent / "mlartifacts").as_uri()

    def _send_points(self, run: _OpenRun) -> None:
        while self._points:
            metrics, count = _next_batch(self._points, run.logged)
            run.client.log_batch(run.run_id, metrics=list(metrics.values()))
            run.logged.update(metrics)
            del self._points[:count]


def _import_mlflow() -> None:
    """MLflow takes seconds to import and reads some of its environment then, so both wait for the first use."""
    import logging

    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow.tracking  # noqa: F401

    # A refused connection is retried with a warning; the tracker says it once, in its own words.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def _make_client(uri: str, database: Path | None) -> MlflowClient:
    """A client of the store; a database that is not there yet is created, which takes seconds."""
    from mlflow.tracking import MlflowClient

    with warnings.catch_warnings():
        # MLflow's own tables use what SQLAlchemy 2.1 is about to drop.
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated", DeprecationWarning)
        if _scheme(uri) in _DATABASES:
            from mlflow.store.db import utils

            utils.MAX_RETRY_COUNT = 2  # its ten attempts at an absent database would sleep for 100 s
        if database is not None:
            if not database.exists():
                _create_database(database)
            _check_writable(database)
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
    aside.rename(database)


def _sqlite_file(uri: str) -> Path | None:
    """The database file of a resolved URI; None where the store is not SQLite."""
    return Path(uri.partition(":///")[2].partition("?")[0]) if _scheme(uri) == "sqlite" else None


def _check_writable(database: Path) -> None:
    """Fail within `_SQLITE_WAIT_S` where MLflow would wait 20 s for a lock or retry what cannot be opened."""
    with closing(sqlite3.connect(database, timeout=_SQLITE_WAIT_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


@contextmanager
def _alone_with(database: Path | None) -> Iterator[None]:
    """Hold the lock file beside a SQLite database: two processes must not create its tables, or one run, at once."""
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{database}.lock", "w") as lock:
        _acquire(lock)
        yield  # closing the file releases the lock


def _acquire(lock: IO[str]) -> None:
    deadline = time.monotonic() + _START_LOCK_WAIT_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process holds {lock.name}") from None
        time.sleep(0.05)


def _find_or_create_experiment(client: MlflowClient, name: str, artifact_location: str | None) -> str:
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


def _find_or_create_run(client: MlflowClient, experiment_id: str, name: str, identity: dict[str, str]) -> Run:
    query = f"tags.`{TRIAL_KEY_TAG}` = '{identity[TRIAL_KEY_TAG]}'"
    # The oldest of several: a request to create a run that timed out may have arrived all the same.
    found = client.search_runs([experiment_id], query, max_results=1, order_by=["attributes.start_time ASC"])
    if not found:
        return client.create_run(experiment_id, tags=identity, run_name=name)
    client.update_run(found[0].info.run_id, status="RUNNING")
    return client.get_run(found[0].info.run_id)


def _log_missing_params(client: MlflowClient, run: Run, params: dict[str, str]) -> None:
    """MLflow refuses to change a parameter, so those that the run has are left alone."""
    from mlflow.entities import Param

    missing = [Param(name, value) for name, value in params.items() if name not in run.data.params]
    client.log_batch(run.info.run_id, params=missing)


def _logged_steps(client: MlflowClient, run: Run) -> set[tuple[str, int]]:
    """Every (metric, step) of the run, so that a resumed trial, which repeats its last points, adds none twice."""
    names = run.data.metrics
    return {(name, metric.step) for name in names for metric in client.get_metric_history(run.info.run_id, name)}


def _set_tags(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def _next_batch(points: list[_Pending], logged: set[tuple[str, int]]) -> tuple[dict[tuple[str, int], Metric], int]:
    """New metrics of the first points, by (name, step), as many whole points as a batch holds; and their number."""
    batch: dict[tuple[str, int], Metric] = {}
    for count, point in enumerate(points):
        if count and len(batch) + len(point.values) > _MAX_METRICS_PER_BATCH:
            return batch, count
        new = {(name, point.step): _metric(point, name) for name in point.values if (name, point.step) not in logged}
        batch = new | batch  # the first of two values for one step stays
    return batch, len(points)


def _metric(point: _Pending, name: str) -> Metric:
    from mlflow.entities import Metric

    value = point.values[name]
    # SQL stores would write infinity as 1.8e308, which flattens every chart; NaN is kept as what it is.
    return Metric(name, value if math.isfinite(value) else math.nan, point.timestamp_ms, point.step)


def _root_cause(error: BaseException) -> str:
    """The innermost error in one line: what MLflow and its drivers wrap around it fills a screen."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")


def _without_password(text: str) -> str:
    return re.sub(r"://[^@/\s]*@", "://", text)
