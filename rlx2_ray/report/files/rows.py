"""Arms and their pairs as rows of plain values, for files that programs read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlx2_ray.report.analysis.arms import by_task
from rlx2_ray.report.analysis.held import Held, Measured, held_of
from rlx2_ray.report.analysis.standings import Pair, Standing, pairs, standings
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.scores import DEPLOYED, FINAL
from rlx2_ray.search.statistics import Interval

Row = dict[str, Any]


def arm_rows(records: Sequence[Record]) -> list[Row]:
    """Returns an arm a row, the best of its task first; None for what is not known."""
    return [row for record in records for part in by_task(record) for row in _arm_rows(part)]


def pair_rows(records: Sequence[Record]) -> list[Row]:
    """Returns a row for each order of two arms of a task."""
    return [_pair(each) for record in records for each in pairs(record)]


def _arm_rows(task: Record) -> list[Row]:
    held = {each.arm.label: each for each in held_of(task)}
    return [_arm(each) | _held(held.get(each.arm)) for each in standings(task)]


def _arm(each: Standing) -> Row:
    row: Row = {"env_id": each.env_id, "algo": each.algo, "steps": each.steps, "arm": each.arm, "seeds": each.seeds}
    for name, column in ((FINAL, "score"), (DEPLOYED, "deployed")):
        summary = each.by.get(name)
        row[f"{column}_iqm"] = summary.mean if summary else None
        row |= _bounds(column, summary.interval if summary else None)
        row[f"{column}_seeds"] = len(summary.scores) if summary else 0
    return row | {name: None if value != value else value for name, value in each.costs.items()}  # NaN is no JSON


def _held(held: Held | None) -> Row:
    """What is held to the end, of arms that the record has runs of."""
    row: Row = {}
    for column in ("lost_of_best", "spread", "wall_s"):
        measured: Measured | None = getattr(held, column, None)
        row[column] = measured.value if measured else None
        row |= _bounds(column, measured.interval if measured else None)
    return row


def _pair(each: Pair) -> Row:
    row = {"env_id": each.env_id, "algo": each.algo, "steps": each.steps, "arm": each.one, "other": each.other}
    return {**row, "p_above": each.above.probability, **_bounds("p_above", each.above.interval)}


def _bounds(column: str, interval: Interval | None) -> Row:
    low, high = interval or (None, None)
    return {f"{column}_low": low, f"{column}_high": high}
