"""A sweep that goes on with more hours or other trials at a time, and a compression that goes on with more runs.

Its trials stay the ones that were planned, and a finished one only says again what it came to. The search of a
compression is told of all its runs, and asks for more where it may.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from rlx2_ray.config import Tree, flatten, merge, validate
from rlx2_ray.report.record.record import Record
from rlx2_ray.sweep import campaign
from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.sweep.description.files import plain
from rlx2_ray.sweep.description.queue import QueueDescription, parse_queue
from rlx2_ray.sweep.desk.mending import lost_trials
from rlx2_ray.sweep.desk.sweep_directory import Result, SweepDirectory, tracked_at
from rlx2_ray.sweep.kinds import KINDS
from rlx2_ray.sweep.sweeping import ENDED_BY
from rlx2_ray.tracking import consent
from rlx2_ray.tracking.uri import hide_secret, sqlite_file
from rlx2_ray.types import BadInput

NOUNS = {"sweep": "sweep", "compress": "compression"}
# What decides, and how surely; all runs so far stay what they are.
RENEWABLE = ("compress.score", "compress.max_seeds", "compress.max_dense_seeds", "compress.accept")


class Sitting(NamedTuple):
    """What is given anew, as text."""

    max_hours: str | None = None  # from now on, in place of the budget that there was
    concurrent: str | None = None  # trials at a time
    max_runs: str | None = None  # of a compression, in all
    changes: Tree = {}  # other keys, which only a compression may change


def resume(directory: SweepDirectory, sitting: Sitting, tracking_uri: str | None = None) -> tuple[str, Result]:
    """Returns kind and result of a campaign that goes on, to its end; of one that has ended, as it is.

    One that a budget ended goes on where there are new hours for it. `tracking_uri`: from now on tracked there. Raises
    BadInput with nothing changed.
    """
    tree, record = directory.open()
    was_tracked = tracked_at(record)
    if tracking_uri is not None:
        record = _track_at(tracking_uri, record)
    is_renewed = any(sitting)
    if is_renewed:
        tree = _renew(tree, record, sitting)
    if sitting.max_hours is not None or sitting.max_runs is not None:
        record = replace(record, messages=tuple(each for each in record.messages if not each.startswith(ENDED_BY)))
    result = directory.read_result(record.kind)
    may_go_on = record.kind == "compress" or (result is not None and result.get("ended_by") and sitting.max_hours)
    lost = lost_trials(directory.trials, result, record) if result is not None else []
    if lost:
        directory.mended.append(f"Without a whole result, and so run again: {', '.join(lost)}.")
    if result is None or directory.mended or (is_renewed and may_go_on):
        result = campaign.go_on(KINDS[record.kind](tree), directory, record)
    elif directory.undelivered_mark.exists() or tracked_at(record) != was_tracked or _is_gone(record):
        result = campaign.deliver_again(KINDS[record.kind](tree), directory, record, result)
    return record.kind, result


def _track_at(uri: str, record: Record) -> Record:
    """The record with the store that the person names; where that is another one, it has nothing of it yet."""
    known = hide_secret(uri)
    consent.remember(known)
    tracking = record.tracking
    assert tracking is not None
    return record if known == tracking.uri else replace(record, tracking=replace(tracking, uri=known, run_id=""))


def _is_gone(record: Record) -> bool:
    """Whether the database that had it is not there any more."""
    database = sqlite_file(tracked_at(record).uri)
    return database is not None and not database.exists()


def _renew(tree: Tree, record: Record, sitting: Sitting) -> Tree:
    fixed = [key for key in flatten(sitting.changes) if record.kind == "sweep" or key not in RENEWABLE]
    if fixed:
        raise BadInput(f"{fixed[0]} is fixed for a {NOUNS[record.kind]} that has begun: leave it out.")
    if record.kind == "sweep":
        return _renew_sweep(tree, record, sitting)
    if sitting.max_hours is not None or sitting.concurrent is not None:
        option = "--max-hours" if sitting.max_hours is not None else "--concurrent"
        raise BadInput(f"{option} is for a sweep, and this is a compression: leave it out.")
    runs = {} if sitting.max_runs is None else {"compress": {"budget": {"runs": sitting.max_runs}}}
    return merge(merge(tree, sitting.changes), runs)


def _renew_sweep(tree: Tree, record: Record, sitting: Sitting) -> Tree:
    if sitting.max_runs is not None:
        raise BadInput("--max-runs is for a compression, and this is a sweep: leave it out.")
    option = "--max-hours" if sitting.max_hours is not None else "--concurrent"
    queue = parse_queue(tree)
    _check_planned(queue, option)
    if sitting.max_hours is not None:
        more = validate(Budget, {"hours": sitting.max_hours}, "tune.budget").hours or 0.0
        budget = Budget(hours=(record.worked_s or 0.0) / 3600 + more, runs=queue.tune.budget.runs)
        tree = {**tree, "tune": {**tree.get("tune", {}), "budget": plain(budget)}}
    if sitting.concurrent is not None:
        tree = merge(tree, {"tune": {"max_concurrent": sitting.concurrent}})
    return tree


def _check_planned(queue: QueueDescription, option: str) -> None:
    """Trials that follow from what others came to are known to Tune alone."""
    if not queue.is_planned:
        tune = queue.members[0].sweep.tune
        raise BadInput(
            f"{option} is for a sweep whose trials are planned beforehand, and this one has searcher "
            f"{tune.searcher.name} and scheduler {tune.scheduler.name}: leave it out."
        )
