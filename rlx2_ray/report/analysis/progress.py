"""How far a record has come: runs and env steps done, how fast, and how long it will take."""

from __future__ import annotations

import math
from typing import NamedTuple

from rlx2_ray.report.record.record import Record

THROUGHPUT = "throughput/env_steps_per_s"


class Progress(NamedTuple):
    done: int  # runs
    running: int
    planned: int  # runs; of a search an estimate, and never fewer than there are
    env_steps: int
    planned_steps: float
    env_steps_per_s: float  # of the running trials together; 0 where none runs

    @property
    def fraction(self) -> float:
        """The fraction that is done, in [0, 1]."""
        return min(1.0, self.env_steps / self.planned_steps) if self.planned_steps else 0.0

    @property
    def remaining_s(self) -> float | None:
        """The time that is left at this speed; None where nothing runs."""
        left = max(0.0, self.planned_steps - self.env_steps)
        return left / self.env_steps_per_s if self.env_steps_per_s else None


def progress_of(record: Record) -> Progress:
    trials = record.trials
    env_steps = sum(trial.env_steps for trial in trials)
    running = [trial for trial in trials if trial.state == "running"]
    rates = [trial.series[THROUGHPUT].latest for trial in running if THROUGHPUT in trial.series]
    is_finished = record.state == "finished"  # whatever was planned at first
    begun = sum(trial.env_steps if trial.state != "running" else trial.planned_steps for trial in trials)
    return Progress(
        done=sum(trial.state == "finished" or trial.ended_early for trial in trials),
        running=len(running),
        planned=len(trials) if is_finished else max(int(record.planned.get("runs", 0)), len(trials)),
        env_steps=env_steps,
        planned_steps=env_steps if is_finished else max(record.planned.get("env_steps", 0.0), begun),
        env_steps_per_s=sum(rate for rate in rates if math.isfinite(rate)),
    )


def duration(seconds: float) -> str:
    """Says it in the two largest units: "3 h 20 min", "4 min", "less than a minute"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if number]
    return " ".join(parts[:2])
