"""Keeps the record of a sweep on disk and in MLflow, as often as it changes but not more often than is looked at."""

from __future__ import annotations

import time
from typing import Any

from rlx2_ray.sweep.spending import Spending
from rlx2_ray.sweep.sweep_directory import Content, SweepDirectory
from rlx2_ray.tracking.tracker import Tracker

REST_S = 2.0  # between two writings
SIGN_OF_LIFE_S = 20.0  # at least so often it is written, changed or not: `record.SILENCE_S` is measured by it


class RecordKeeper:
    def __init__(self, directory: SweepDirectory, content: Content, tracker: Tracker, spending: Spending) -> None:
        self.content = content
        self.tracker = tracker
        self._directory = directory
        self._spending = spending
        self._is_new = True
        self._written = 0.0

    def note(self, **values: Any) -> None:
        """Take in new values of top-level keys; they are written by `write_soon` or `write`."""
        self.content |= values
        self._is_new = True

    def say(self, message: str) -> None:
        """A sentence that the report repeats."""
        self.note(messages=[*self.content["messages"], message])

    def write_soon(self) -> None:
        if time.monotonic() - self._written > (REST_S if self._is_new else SIGN_OF_LIFE_S):
            self.write()

    def write(self) -> None:
        self.content |= {"updated": time.time(), "worked_s": self._spending.worked_s}
        self._directory.write_record(self.content)
        self.tracker.log_artifacts([self._directory.record_file])
        self._is_new = False
        self._written = time.monotonic()
