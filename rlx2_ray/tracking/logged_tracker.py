"""A run's tracker with other loggers beside MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlx2_ray.tracking.loggers import Background
from rlx2_ray.tracking.points import Point
from rlx2_ray.tracking.tracker import Status, Tracker


class LoggedTracker(Tracker):
    """Hands every point to the loggers too; what becomes of it there concerns nobody else."""

    def __init__(self, loggers: Sequence[Background], **of_tracker: Any) -> None:
        super().__init__(**of_tracker)
        self._loggers = list(loggers)

    def log(self, points: Sequence[Point]) -> None:
        super().log(points)
        for logger in self._loggers:
            logger.log(points)

    def finish(self, status: Status) -> bool:
        is_delivered = super().finish(status)
        loggers, self._loggers = self._loggers, []
        for logger in loggers:
            logger.finish(status == "FINISHED")
        return is_delivered
