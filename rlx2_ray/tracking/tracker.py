"""MLflow runs: one per trial and one per sweep, found again by their keys, and never a reason to stop the work."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rlx2_ray.tracking.params import LONGEST_VALUE, is_cut, to_params
from rlx2_ray.tracking.points import Pending, Point, next_batch, pending
from rlx2_ray.tracking.sending import Kind, send
from rlx2_ray.tracking.store import (
    alone_with,
    check_writable,
    find_or_create_experiment,
    find_or_create_run,
    import_mlflow,
    make_client,
    root_cause,
)
from rlx2_ray.tracking.table import LOGGED_ARTIFACTS_TAG, Columns, table_json, with_table
from rlx2_ray.tracking.tags import PARENT
from rlx2_ray.tracking.uri import artifacts_beside, redacted, resolve_tracking_uri, sqlite_file
from rlx2_ray.types import RunFailed

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

RETRY_INTERVAL_S = 30.0

Status = Literal["FINISHED", "FAILED", "KILLED"]

_SQLITE_TRIES = 3


class _OpenRun(NamedTuple):
    """A run that the store has, the (metric, step) pairs it has of it, and its tags when it was opened."""

    client: MlflowClient
    run_id: str
    logged: set[tuple[str, int]]
    tags: dict[str, str]


class _Parcel(NamedTuple):
    """What one call hands over to be delivered."""

    points: Sequence[Pending] = ()
    tags: Mapping[str, str] = {}
    artifacts: Sequence[Path] = ()
    tables: Mapping[str, str] = {}


class Tracker:
    """One MLflow run: of a trial, or of a whole sweep, the parent of its trials' runs.

    Between `start` and `finish` a daemon thread delivers what is logged, so that a slow or silent store holds nobody
    up; without `start`, all of it waits for `finish`. What is logged is kept in memory until the store has it. A store
    that cannot be reached is reported once per outage through `warn`, from whatever thread, and tried again every
    `RETRY_INTERVAL_S`; no method raises because of it.
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
        """`params` may be nested; `clock` gives seconds and never goes back.

        A run that is found again gets `tags` and the parent anew, and keeps the parameters it has.
        """
        self._uri = resolve_tracking_uri(tracking_uri)
        self._database = sqlite_file(self._uri)
        self._experiment_name = experiment_name
        self._run_name = run_name
        self._trial_key = trial_key
        self._params = to_params(params)
        self._warn = warn
        self._clock = clock

        self._inbox: SimpleQueue[_Parcel] = SimpleQueue()
        self._called = threading.Event()  # by a call that handed something over, or by `finish`
        self._finishing = False
        self._interrupted = False
        self._thread: threading.Thread | None = None

        # All below belongs to who delivers: the thread while it lives, else the caller of `start` or `finish`.
        self._run: _OpenRun | None = None
        self._next_attempt: float | None = None  # on `clock`, while the store is out of reach

        self._points: list[Pending] = []
        # The link to the parent too, so that a run which once began without one has it after a resume.
        self._tags = dict(tags) if parent_run_id is None else {**tags, PARENT: parent_run_id}
        self._artifacts: dict[Path, None] = {}  # a dict, because it keeps the order and drops repetitions
        self._tables: dict[str, str] = {}  # file name -> the newest content
        self._status: Status | None = None
        self._refused: set[str] = set()  # kinds of which it was said that the store refuses one

    @property
    def waiting(self) -> int:
        """The points that the store has not got, as far as they were taken in: all of them after `finish`."""
        return len(self._points)

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None while the store has not been reached."""
        return self._run.run_id if self._run is not None else None

    def start(self) -> None:
        """Find the run of this trial key, or create it, and set it running. To be called once; waits for the store."""
        self._attempt()
        self._start_thread()

    def start_or_fail(self) -> str:
        """`start` for the parent of other runs: its id, which they need. Raises RunFailed where there is none."""
        try:
            self._deliver_between_writers()
        except Exception as error:  # as in `_attempt`
            raise RunFailed(redacted(f"MLflow at {self._uri} has no run ({root_cause(error)}).")) from None
        assert self._run is not None
        self._start_thread()
        return self._run.run_id

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._deliver_in_background, name="tracker", daemon=True)
        self._thread.start()

    def log(self, points: Sequence[Point]) -> None:
        """Log each (metric, step) that the run does not have yet; a value that is not finite becomes NaN."""
        now_ms = time.time_ns() // 1_000_000
        self._hand_over(_Parcel(points=[pending(point, now_ms) for point in points]))

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run."""
        self._hand_over(_Parcel(tags=dict(tags)))

    def log_artifacts(self, paths: Sequence[Path]) -> None:
        """Copy files and folders, under their own names, to the run's artifacts: as they are when they are sent.

        What is logged again before it was sent is sent once, so a file may be logged as often as it is rewritten.
        """
        self._hand_over(_Parcel(artifacts=tuple(paths)))

    def log_table(self, file_name: str, columns: Columns) -> None:
        """Write a table, `file_name` ends in .json, in place of the one of that name; MLflow's page shows it."""
        self._hand_over(_Parcel(tables={file_name: table_json(columns)}))

    def finish(self, status: Status) -> bool:
        """Wait for work in progress, deliver what is pending and end the run; True when all of it got there.

        After a KeyboardInterrupt in here, a further call returns False at once: who interrupts wants no other wait.
        """
        if self._interrupted:
            return False
        try:
            self._end_thread()
            self._status = status
            return self._attempt()
        except KeyboardInterrupt:
            # Nor could another call deliver: an interrupted join takes the thread for dead, which may still be at it.
            self._interrupted = True
            raise

    def _hand_over(self, parcel: _Parcel) -> None:
        self._inbox.put(parcel)
        self._called.set()

    def _deliver_in_background(self) -> None:
        while True:
            self._called.wait(self._rest_s())
            self._called.clear()  # before looking at what was handed over, or the next call might be missed
            if self._finishing:
                return
            if not self._rest_s():
                self._attempt()

    def _rest_s(self) -> float | None:
        """Seconds until a store that is out of reach is tried again; None while it works."""
        return None if self._next_attempt is None else max(0.0, self._next_attempt - self._clock())

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._finishing = True
            self._called.set()
            self._thread.join()

    def _attempt(self) -> bool:
        self._take_in()
        try:
            self._deliver_between_writers()
        except Exception as error:  # the store, its driver, the network, the disk: none may stop the training
            self._note_outage(error)
            return False
        self._note_recovery()
        return True

    def _take_in(self) -> None:
        while not self._inbox.empty():
            parcel = self._inbox.get()
            self._points += parcel.points
            self._tags |= parcel.tags
            self._artifacts |= dict.fromkeys(parcel.artifacts)
            self._tables |= parcel.tables

    def _note_outage(self, error: Exception) -> None:
        is_new = self._next_attempt is None
        self._next_attempt = self._clock() + RETRY_INTERVAL_S
        if is_new:
            self._warn(
                redacted(
                    f"MLflow at {self._uri} cannot be used now ({root_cause(error)}): "
                    "the run goes on, keeps its points in memory and tries again."
                )
            )

    def _note_recovery(self) -> None:
        if self._next_attempt is not None:
            self._next_attempt = None
            self._warn(redacted(f"MLflow at {self._uri} works again and has every point."))

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
            check_writable(self._database)
        client, run_id = self._run.client, self._run.run_id
        self._send_points(self._run)
        self._send_tags(self._run)
        # The status goes before the artifacts: they may live in another store, which may be the one that fails.
        if self._status is not None:
            client.set_terminated(run_id, self._status)
            self._status = None
        for name in list(self._tables):
            client.log_text(run_id, self._tables[name], name)
            del self._tables[name]
        for path in list(self._artifacts):
            client.log_artifact(run_id, str(path))
            del self._artifacts[path]

    def _open_run(self) -> _OpenRun:
        import_mlflow(self._uri)
        with alone_with(self._database):
            client = make_client(self._uri, self._database)
            experiment_id = find_or_create_experiment(client, self._experiment_name, self._artifact_location())
            run = find_or_create_run(client, experiment_id, self._run_name, self._trial_key, self._tags)
        self._send_missing_params(client, run)
        return _OpenRun(client, run.info.run_id, _logged_steps(client, run), dict(run.data.tags))

    def _artifact_location(self) -> str | None:
        return None if self._database is None else artifacts_beside(self._database)

    def _send_points(self, run: _OpenRun) -> None:
        while self._points:
            metrics, count = next_batch(self._points, run.logged)
            self._send(run.client, run.run_id, "metrics", list(metrics.values()))
            run.logged.update(metrics)
            del self._points[:count]

    def _send_tags(self, run: _OpenRun) -> None:
        """The new ones, with the list of tables among them."""
        listed = run.tags.get(LOGGED_ARTIFACTS_TAG, "")
        for name in self._tables:
            listed = with_table(listed, name)
        tags = {**self._tags, LOGGED_ARTIFACTS_TAG: listed} if listed else self._tags
        new = {name: value for name, value in tags.items() if run.tags.get(name) != value}
        from mlflow.entities import RunTag

        self._send(run.client, run.run_id, "tags", [RunTag(name, value) for name, value in new.items()])
        run.tags.update(new)
        self._tags.clear()

    def _send_missing_params(self, client: MlflowClient, run: Run) -> None:
        """MLflow refuses to change a parameter, so those that the run has are left alone."""
        from mlflow.entities import Param

        missing = {name: value for name, value in self._params.items() if name not in run.data.params}
        self._send(client, run.info.run_id, "params", [Param(name, value) for name, value in missing.items()])
        for name in filter(lambda name: is_cut(missing[name]), missing):
            self._warn(f"{name} is longer than MLflow takes, which has its first {LONGEST_VALUE} characters.")

    def _send(self, client: MlflowClient, run_id: str, kind: Kind, entities: Sequence[Any]) -> None:
        """What the store refuses is said once of each kind."""
        refused = send(client, run_id, kind, entities)
        if refused and kind not in self._refused:
            self._refused.add(kind)
            name, why = next(iter(refused.items()))
            self._warn(
                redacted(
                    f"MLflow at {self._uri} refuses {len(refused)} of the run's {kind}, such as {name[:80]!r} ({why}): "
                    "they are left out, and all others are sent."
                )
            )


def _logged_steps(client: MlflowClient, run: Run) -> set[tuple[str, int]]:
    """Every (metric, step) of the run, so that a resumed trial, which repeats its last points, adds none twice."""
    names = run.data.metrics
    return {(name, metric.step) for name in names for metric in client.get_metric_history(run.info.run_id, name)}
