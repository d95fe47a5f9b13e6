"""The run of a trial, begun or gone on with, in whatever process works on it."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from functools import partial

from rlx2_ray.experiment import session
from rlx2_ray.experiment.display import LogDisplay
from rlx2_ray.experiment.interruption import StopWish
from rlx2_ray.experiment.run import Training, never
from rlx2_ray.experiment.session import Train
from rlx2_ray.runs.checkpoint import list_checkpoints
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.sweep.trials import archived
from rlx2_ray.sweep.trials.futility import load_floor
from rlx2_ray.sweep.trials.job import Job, Plan

LOG_FILE = "log.txt"
LOCK_WAIT_S = 120.0  # Ray's processes may outlive a killed driver for a minute


def open_run(job: Job, plan: Plan, train: Train) -> Training:
    """From where its directory says that it is; from the archive, where that has it."""
    directory = job.directory(plan)
    floor = load_floor(job.floor) if job.floor else None
    host = session.Host(
        make_display=partial(LogDisplay, directory / LOG_FILE),
        stop=lambda: nullcontext(StopWish()),  # Tune tells it to stop
        is_futile=floor.is_futile if floor and plan.purpose != "dense" else never,
        lock_wait_s=LOCK_WAIT_S,
    )
    run = RunDirectory(directory)
    if not run.config_file.exists() and not list_checkpoints(run.checkpoints):
        shutil.rmtree(directory, ignore_errors=True)  # killed before it became a run
        if not archived.restore(job, plan):
            return session.begin(plan.config, directory, job.tracking_of(plan), train, host)
    return session.go_on(directory, train, host)
