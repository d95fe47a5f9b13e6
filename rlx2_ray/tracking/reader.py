"""Reading an MLflow store: runs with their histories, over and over while others write. It changes nothing in it."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rlx2_ray import files
from rlx2_ray.tracking.check import check_revision
from rlx2_ray.tracking.store import import_mlflow, root_cause
from rlx2_ray.tracking.tags import CONFIG_HASH, KIND, PARENT
from rlx2_ray.tracking.uri import DATABASES, redacted, resolve_tracking_uri, scheme_of, sqlite_file
from rlx2_ray.types import BadInput

if TYPE_CHECKING:
    from mlflow.entities import Run

WHOLE_S = 600.0  # seconds after which all is read again, for what changes in runs that have ended, as by deletion
LARGEST_ARTIFACT = 2**26  # bytes
SLACK_MS = 60_000  # by which clocks of the machines that write runs may differ
READ = ("evaluation/return_mean", "replay/", "topology/", "throughput/env_steps_per_s")  # beginnings of metric names
_MAX_RESULTS = 10**7  # points of one metric; more than any sweep has

History = tuple[tuple[int, ...], tuple[float, ...]]  # steps, values; by step


class StoredRun(NamedTuple):
    run_id: str
    experiment_id: str
    experiment: str  # its name
    name: str
    status: str  # MLflow's: RUNNING, FINISHED, FAILED, KILLED, SCHEDULED
    started: float | None  # seconds since the epoch
    ended: float | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]  # the latest values

    @property
    def updates(self) -> tuple[str, tuple[tuple[str, float], ...]]:
        """A value that is another one when the run has gone on."""
        return self.status, tuple(self.metrics.items())


class _Found(NamedTuple):
    """What a search has found."""

    read_at: float
    runs: Mapping[str, StoredRun]  # by id


class TrackingReader:
    """A reader of one store. Every method raises BadInput, in one sentence, where the store cannot be read."""

    def __init__(self, uri: str) -> None:
        """Raises BadInput, and creates nothing, where there is no store, or one that this MLflow cannot read."""
        whole = resolve_tracking_uri(uri)
        self.uri = redacted(whole)  # as it may be shown
        database = sqlite_file(whole)
        if database is not None:
            _check_database(database, whole)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import_mlflow(whole)
        with self._reading():
            self._client = _make_client(whole)
            self._client.search_experiments(max_results=1)
        self._found: dict[tuple[str, ...], _Found] = {}  # by experiments and query
        self._histories: dict[str, tuple[object, dict[str, History]]] = {}  # by run: its `updates`, its histories

    @property
    def is_server(self) -> bool:
        return scheme_of(self.uri) in ("http", "https")

    def experiments(self) -> dict[str, str]:
        """The names of experiments by id, the newest first."""
        with self._reading():
            return {each.experiment_id: each.name for each in _pages(self._client.search_experiments)}

    def sweeps(self, experiment: str | None = None) -> list[StoredRun]:
        """The parent runs of sweeps and compressions, of one experiment or of all, the newest first."""
        return self._search(self._named(experiment), f"tags.`{KIND}` LIKE '%'")

    def children(self, parent: StoredRun) -> list[StoredRun]:
        """The trials of a sweep, in the order in which they began."""
        experiments = {parent.experiment_id: parent.experiment}
        return self._search(experiments, f"tags.`{PARENT}` = '{parent.run_id}'")[::-1]

    def plain_runs(self, experiment: str | None = None) -> list[StoredRun]:
        """The runs of `rlx2 train` in an experiment, or in all, in the order in which they began."""
        query = f"tags.`{CONFIG_HASH}` LIKE '%' AND tags.`{PARENT}` IS NULL"
        return [run for run in reversed(self._search(self._named(experiment), query)) if KIND not in run.tags]

    def histories(self, runs: Sequence[StoredRun]) -> dict[str, dict[str, History]]:
        """The histories of runs by id and metric. Only what has changed since the last call is read again."""
        kept = self._histories
        changed = [run for run in runs if kept.get(run.run_id, (None,))[0] != run.updates]
        if changed:
            for run, found in zip(changed, self._read_histories(changed), strict=True):
                kept[run.run_id] = (run.updates, found)
        return {run.run_id: kept[run.run_id][1] for run in runs}

    def artifact(self, run_id: str, name: str) -> bytes | None:
        """The content of a file at the top of a run's artifacts; None where there is no such file."""
        with self._reading():
            if name not in (each.path for each in self._client.list_artifacts(run_id)):
                return None
            with tempfile.TemporaryDirectory(prefix="rlx2-") as folder:
                file = Path(self._client.download_artifacts(run_id, name, folder))
                return files.read(file, LARGEST_ARTIFACT)

    def _named(self, experiment: str | None) -> dict[str, str]:
        experiments = self.experiments()
        if experiment is None:
            return experiments
        found = {number: name for number, name in experiments.items() if name == experiment}
        if not found:
            known = ", ".join(experiments.values())
            raise BadInput(f"{self.uri} has no experiment {experiment!r}: choose from {known}.")
        return found

    def _search(self, experiments: Mapping[str, str], query: str) -> list[StoredRun]:
        """The runs that a query finds, the newest first. Only those that have not ended long ago are read again."""
        key = (*experiments, query)
        found = self._found.get(key)
        now = time.monotonic()
        if found is None or now - found.read_at > WHOLE_S:
            found = _Found(now, self._fetch(experiments, query))
        else:
            found = _Found(found.read_at, self._renewed(experiments, query, found.runs))
        self._found[key] = found
        return sorted(found.runs.values(), key=lambda run: (-(run.started or 0.0), run.run_id))

    def _renewed(
        self, experiments: Mapping[str, str], query: str, before: Mapping[str, StoredRun]
    ) -> dict[str, StoredRun]:
        last_end = max((int(1000 * run.ended) for run in before.values() if run.ended), default=0)
        running = self._fetch(experiments, f"{query} AND attributes.status = 'RUNNING'")
        changed = running | self._fetch(experiments, f"{query} AND attributes.end_time >= {last_end - SLACK_MS}")
        doubtful = {run_id for run_id, run in before.items() if run.status == "RUNNING" and run_id not in changed}
        if doubtful:  # deleted, or ended by a clock that is far behind
            return self._fetch(experiments, query)
        return {**before, **changed}

    def _fetch(self, experiments: Mapping[str, str], query: str) -> dict[str, StoredRun]:
        def search(page_token: str | None = None) -> Any:
            return self._client.search_runs(list(experiments), query, page_token=page_token)

        with self._reading():
            return {run.info.run_id: _stored(run, experiments) for run in _pages(search)}

    def _read_histories(self, runs: Sequence[StoredRun]) -> list[dict[str, History]]:
        names = dict.fromkeys(name for run in runs for name in run.metrics if name.startswith(READ))
        found: dict[str, dict[str, History]] = {run.run_id: {} for run in runs}
        with self._reading():
            for name in names:
                for run_id, points in self._read_metric(name, [run.run_id for run in runs if name in run.metrics]):
                    found[run_id][name] = _history(points)
        return list(found.values())

    def _read_metric(self, name: str, run_ids: Sequence[str]) -> Iterator[tuple[str, list[Any]]]:
        """The points of one metric, run by run: in one query where the store is a database, over HTTP one by one."""
        store = self._client._tracking_client.store
        if not hasattr(store, "get_metric_history_bulk"):
            yield from ((run_id, self._client.get_metric_history(run_id, name)) for run_id in run_ids)
            return
        by_run: dict[str, list[Any]] = {run_id: [] for run_id in run_ids}
        for point in store.get_metric_history_bulk(run_ids, name, _MAX_RESULTS):
            by_run[point.run_id].append(point)
        yield from by_run.items()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except BadInput:
            raise
        except Exception as error:  # the store, its driver, the network
            raise BadInput(
                f"MLflow at {self.uri} cannot be read ({redacted(root_cause(error))}): "
                "see that it runs, or give another --tracking-uri."
            ) from None


def _make_client(uri: str) -> Any:
    from mlflow.tracking import MlflowClient

    if scheme_of(uri) in DATABASES:
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 2  # its ten attempts at an absent database would sleep for 100 s
    return MlflowClient(uri)


def _check_database(database: Path, uri: str) -> None:
    """MLflow would create a database that is not there, and its tables in one that has none."""
    if not database.is_file():
        raise BadInput(f"There is no tracking store {database}: give the --tracking-uri of one that a run has written.")
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise BadInput(f"{database} is no MLflow store ({error}): give the --tracking-uri of one.") from None
    import_mlflow(uri)
    check_revision(uri, found[0] if found else None)


def _pages(fetch: Any) -> Iterable[Any]:
    page = fetch()
    yield from page
    while page.token:
        page = fetch(page_token=page.token)
        yield from page


def _stored(run: Run, experiments: Mapping[str, str]) -> StoredRun:
    info, data = run.info, run.data
    return StoredRun(
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        experiment=experiments[info.experiment_id],
        name=info.run_name,
        status=info.status,
        started=info.start_time / 1000 if info.start_time else None,
        ended=info.end_time / 1000 if info.end_time else None,
        params=data.params,
        tags=data.tags,
        metrics=data.metrics,
    )


def _history(points: Iterable[Any]) -> History:
    """The first of two values for one step stays, as in what a tracker sends."""
    by_step: dict[int, float] = {}
    for point in points:
        by_step.setdefault(point.step, point.value)
    steps = sorted(by_step)
    return tuple(steps), tuple(by_step[step] for step in steps)
