"""The trials of a campaign that goes on: which have a whole result, and what is made good of those that have not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.checkpoint import DamagedCheckpoint, list_checkpoints, read_values
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.directory import RunDirectory, is_run
from rlx2_ray.sweep.desk.sweep_directory import Result
from rlx2_ray.sweep.trials.job import Job
from rlx2_ray.types import BadInput, Damaged


def mend_trials(job: Job, say: Callable[[str], None]) -> frozenset[str]:
    """Let every trial that has no whole result be one that goes on; returns the names of those that have one.

    What is written again says what it said; a damaged result is measured again from the newest checkpoint. Nobody may
    be working on the trials.
    """
    whole = set()
    for path in sorted(path for path in job.trials.glob("*") if path.is_dir()):
        plan = job.planner.planned(path.name)
        if plan is not None and is_run(path):
            try:
                RunDirectory(path).mend(plan.config, job.tracking_of(plan))
            except Damaged:  # the trial itself says it, and fails
                continue
        if _mend_result(RunDirectory(path), say):
            whole.add(path.name)
    return frozenset(whole)


def _mend_result(directory: RunDirectory, say: Callable[[str], None]) -> bool:
    """Whether there is a whole one."""
    try:
        result, _ = directory.read_whole()
    except Damaged as damage:
        if directory.result_file.exists() and _can_be_done_over(directory):
            say(f"{directory.path.name} is run again from its newest checkpoint: {damage}")
            if list_checkpoints(directory.checkpoints):
                directory.result_file.unlink()
            else:  # of an archive, or nothing is left but what is damaged
                shutil.rmtree(directory.path)
        return False
    return result is not None


def _can_be_done_over(directory: RunDirectory) -> bool:
    """Not where the points are damaged, and the checkpoint is of an earlier version, which had none in it."""
    try:
        directory.read_result()
    except Damaged:
        return True
    try:
        config, _ = directory.open()
        form, newest = RunForm(config, probe_spaces(config.env)), list_checkpoints(directory.checkpoints)[-1:]
        return all("points" in read_values(path, form) for path in newest)
    except (BadInput, DamagedCheckpoint, OSError):
        return True  # the one before it may do


def lost_trials(trials: Path, result: Result, record: Record) -> list[str]:
    """The names of the trials that a campaign that has ended no longer has whole."""
    cached = {f"dense-s{seed.seed}" for seed in record.dense.seeds if seed.cached} if record.dense else set()
    names = {row["name"] for row in result.get("trials", []) if row["state"] == "finished"}
    names |= {name for event, name in record.history if event == "ended"} - cached
    return sorted(names - set(_whole(trials)))


def _whole(trials: Path) -> Iterator[str]:
    for path in trials.glob("*"):
        try:
            if RunDirectory(path).read_whole()[0] is not None:
                yield path.name
        except BadInput:
            continue
