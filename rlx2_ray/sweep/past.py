"""What a sweep that goes on knows of its trials: from their directories, and from its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from rlx2_ray.report.record.configs import flat
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.sweep.trials.reports import Report, read_reports
from rlx2_ray.types import BadInput


class Past:
    def __init__(self, trials: Path, record: Record) -> None:
        """`trials`: holds their directories."""
        self._trials = trials
        self._record = record

    @cached_property
    def reports(self) -> Mapping[str, list[Report]]:
        """What each has reported, by name."""
        names = sorted(path.name for path in self._trials.glob("*"))
        return {name: read_reports(self._trials / name, name in self._record.stopped) for name in names}

    @cached_property
    def values(self) -> Mapping[str, Mapping[str, Any]]:
        """Dotted key -> value of each trial's configuration, as it is now, by name."""
        return dict(self._values())

    def _values(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for path in sorted(self._trials.glob("*")):
            try:
                yield path.name, flat(RunDirectory(path).open()[0])
            except BadInput:  # whoever works on the trial says so
                continue

    def value_of(self, name: str, metric: str) -> float | None:
        """What it came to; None where it has not ended."""
        reports = self.reports.get(name)
        has_ended = reports and ("ended_early" in reports[-1] or name in self._record.stopped)
        return float(reports[-1][metric]) if reports and has_ended else None

    @property
    def events(self) -> list[tuple[str, str]]:
        """As the record says; of a sweep of an earlier version as the times of the files do."""
        if self._record.history:
            return list(self._record.history)
        files = {"begun": "run.json", "ended": "result.json"}
        times = [
            (file.stat().st_mtime_ns, event, file.parent.name)
            for event, name in files.items()
            for file in self._trials.glob(f"*/{name}")
        ]
        return [(event, name) for _, event, name in sorted(times)]
