"""Keeps the record of a campaign on disk and in MLflow, as often as it changes but not more often than is looked at."""

from __future__ import annotations

import time
from dataclasses import replace

from rlx2_ray.report.record.record import Event, Record
from rlx2_ray.sweep.desk.spending import Spending
from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory
from rlx2_ray.tracking.tracker import Tracker

REST_S = 2.0  # between two writings
SIGN_OF_LIFE_S = 20.0  # at least so often it is written, changed or not: `file.SILENCE_S` is measured by it


class RecordKeeper:
    def __init__(self, directory: SweepDirectory, record: Record, tracker: Tracker, spending: Spending) -> None:
        self.record = record
        self.tracker = tracker
        self._directory = directory
        self._spending = spending
        self._is_new = True
        self._written = 0.0

    def keep(self, record: Record) -> None:
        """Take in the record as it is from now on; it is written by `write_soon` or `write`."""
        self.record = record
        self._is_new = True

    def say(self, message: str) -> None:
        """Take in a sentence that the report repeats."""
        self.keep(replace(self.record, messages=(*self.record.messages, message)))

    def note(self, event: Event, name: str) -> None:
        """Take in an event of a search, and write it: what is asked next depends on it."""
        self.keep(replace(self.record, history=(*self.record.history, (event, name))))
        self.write()

    def write_soon(self) -> None:
        if time.monotonic() - self._written > (REST_S if self._is_new else SIGN_OF_LIFE_S):
            self.write()

    def write(self) -> None:
        self.record = replace(self.record, updated=time.time(), worked_s=self._spending.worked_s)
        self._directory.write_record(self.record)
        self.tracker.log_artifacts([self._directory.record_file])
        self._is_new = False
        self._written = time.monotonic()
