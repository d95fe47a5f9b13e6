"""What the dashboard can show, and the record of what it shows: read from the store at most once in a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.store import read_runs, read_sweep
from rlx2_ray.tracking.reader import StoredRun, TrackingReader
from rlx2_ray.tracking.tags import KIND
from rlx2_ray.types import BadInput

SWEEP, EXPERIMENT = "sweep:", "experiment:"  # beginnings of a choice's key: a parent run's id, an experiment's name
SHORTEST_S = 1.0  # between two readings of one choice


class Choice(NamedTuple):
    key: str
    label: str


class Source:
    """A store, or one experiment of it. For several threads; methods raise BadInput where the store cannot be read."""

    def __init__(
        self, reader: TrackingReader, experiment: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises BadInput where there is no such experiment."""
        self._reader = reader
        self._experiment = experiment
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Record]] = {}  # by choice: when it was read, and what
        self._parents: dict[str, StoredRun] = {}
        self.choices()

    @property
    def uri(self) -> str:
        return self._reader.uri

    def choices(self) -> list[Choice]:
        """Returns campaigns and the plain runs of each experiment, what runs and the newest first.

        Experiments that have neither come last, for what is about to begin in them.
        """
        with self._lock:
            parents, plain = self._reader.sweeps(self._experiment), self._reader.plain_runs(self._experiment)
            experiments = self._reader.experiments().values() if self._experiment is None else [self._experiment]
        self._parents = {SWEEP + parent.run_id: parent for parent in parents}
        runs = {run.experiment: run for run in plain}  # the latest of each
        runs |= {run.experiment: run for run in plain if run.status == "RUNNING"}
        found = [(parent, Choice(key, _label(parent))) for key, parent in self._parents.items()]
        found += [(run, _choice_of_runs(name)) for name, run in runs.items()]
        found.sort(key=lambda each: (each[0].status != "RUNNING", -(each[0].started or 0.0)))
        known = {"Default", *runs, *(parent.experiment for parent in parents)}
        return [choice for _, choice in found] + [_choice_of_runs(name) for name in experiments if name not in known]

    def record(self, key: str) -> Record:
        """Returns what is called so. Raises BadInput where nothing is any more."""
        with self._lock:
            read_at, record = self._kept.get(key, (float("-inf"), None))
            if record is None or self._clock() - read_at > SHORTEST_S:
                record = self._read(key)
                self._kept[key] = (self._clock(), record)
            return record

    def _read(self, key: str) -> Record:
        if key.startswith(EXPERIMENT):
            name = key.removeprefix(EXPERIMENT)
            runs = self._reader.plain_runs(name)
            if not runs:
                raise BadInput(
                    f"The experiment {name!r} has no run of this program yet: wait for one, or choose another."
                )
            return read_runs(self._reader, name, runs)
        parents = {SWEEP + parent.run_id: parent for parent in self._reader.sweeps(self._experiment)}
        if key not in parents:
            raise BadInput("This sweep is no longer in the store: choose another.")
        return read_sweep(self._reader, parents[key])


def _choice_of_runs(experiment: str) -> Choice:
    return Choice(EXPERIMENT + experiment, f"{experiment} (runs)")


def _label(parent: StoredRun) -> str:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(parent.started)) if parent.started else ""
    return f"{parent.name} · {parent.tags[KIND]} · {parent.status.lower()} · {parent.experiment} · {started}"
