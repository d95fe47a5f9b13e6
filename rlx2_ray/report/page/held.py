"""What arms hold to the end, as a table."""

from __future__ import annotations

from collections.abc import Callable

from rlx2_ray.report.analysis.held import Held, Measured, held_of
from rlx2_ray.report.analysis.progress import duration
from rlx2_ray.report.page.tables import UNKNOWN, Table
from rlx2_ray.report.record.record import Record

HEADINGS = ("arm", "seeds", "at the end", "deployed", "lost of the best, %", "spread over seeds, %", "time to train")
CAPTION = (
    "What is held to the end: the score (interquartile mean over seeds); how far it is below the best mean of as many "
    "evaluations in a row, in % of that (mean over seeds); the standard deviation over seeds, in % of their mean; and "
    "the time from start to end, evaluations included (mean). Each with a 95 % bootstrap interval over seeds."
)


def held_table(record: Record) -> Table:
    """Has an arm a row, in the order of `arms_of`, of those with a finished trial."""
    return Table(HEADINGS, tuple(_row(each) for each in held_of(record)))


def _row(each: Held) -> tuple[str, ...]:
    return (
        each.arm.label,
        str(each.seeds),
        _cell(each.final, "{:.5g}".format),
        _cell(each.deployed, "{:.5g}".format),
        _cell(each.lost_of_best, _percent),
        _cell(each.spread, _percent),
        _cell(each.wall_s, duration),
    )


def _cell(measured: Measured | None, words: Callable[[float], str]) -> str:
    """Returns such as "3205 (3100 to 3300)", without an interval where there is none."""
    if measured is None:
        return UNKNOWN
    value, interval = measured
    return words(value) + (f" ({words(interval[0])} to {words(interval[1])})" if interval else "")


def _percent(part: float) -> str:
    return f"{100 * part:.1f}"
