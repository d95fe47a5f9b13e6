"""A trial that has been run before: its finished run is taken from an archive, and nothing is trained."""

from __future__ import annotations

import shutil

from rlx2_ray import files
from rlx2_ray.runs import archive, archived_run
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.sweep.trials.job import Job, Plan
from rlx2_ray.tracking.tags import ARCHIVED

ASIDE = "restoring"  # folder beside that of the trials


def restore(job: Job, plan: Plan) -> bool:
    """Make the trial's directory that of the archived run of its configuration; False where there is none.

    Raises BadInput where a file of the archive cannot be read.
    """
    file = archive.find(plan.config, job.archive) if job.archive else None
    if file is None:
        return False
    aside = job.trials.with_name(ASIDE) / plan.name  # so that a kill leaves all of it or none
    shutil.rmtree(aside, ignore_errors=True)
    tracking = job.tracking_of(plan)
    tracking = tracking._replace(tags={**tracking.tags, ARCHIVED: file.name})
    archive.restore(archived_run.read(file), aside, tracking)
    RunDirectory(aside).mark_undelivered()  # MLflow is told of it when it goes on
    job.trials.mkdir(parents=True, exist_ok=True)
    files.move(aside, job.directory(plan))
    return True
