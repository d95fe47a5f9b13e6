"""What MLflow has not got of the trials of a sweep: which those are, and another try to tell it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from rlx2_ray.experiment import session
from rlx2_ray.experiment.display import LogDisplay
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.sweep.trials.opening import LOCK_WAIT_S, LOG_FILE
from rlx2_ray.types import BadInput


def begin_anew(trials: Path, uri: str, parent_run_id: str) -> None:
    """Let all trials be of a new parent, in a store that has none of them."""
    for run in _runs(trials):
        run.retrack(uri, parent_run_id)


def deliver_trials(trials: Path, say: Callable[[str], None]) -> int | None:
    """Try again; returns the points that still wait, None where nothing does. A store that is away is asked once."""
    is_away = False
    for run in _runs(trials):
        if is_away or run.waiting() is None:
            continue
        # The process of a trial that was stopped may still be at it.
        host = session.Host(make_display=partial(LogDisplay, run.path / LOG_FILE), lock_wait_s=LOCK_WAIT_S)
        try:
            is_away = session.deliver_waiting(run.path, host)
        except BadInput as problem:
            say(str(problem))
    return waiting_points(trials)


def waiting_points(trials: Path) -> int | None:
    """The points of trials that wait; None where nothing of any trial does."""
    left = [waiting.points for run in _runs(trials) if (waiting := run.waiting())]
    return sum(left) if left else None


def _runs(trials: Path) -> list[RunDirectory]:
    return [RunDirectory(file.parent) for file in sorted(trials.glob("*/config.yaml"))]
