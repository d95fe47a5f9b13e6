"""The tables of arms that stand beside each other, for pages and the terminal: an arm a row, and P(A above B)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rlx2_ray.report.analysis.arms import by_task, percent
from rlx2_ray.report.analysis.standings import Standing, Summary, pairs, standings
from rlx2_ray.report.page.tables import UNKNOWN, Table
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.scores import OTHER
from rlx2_ray.search.improvement import Improvement

MOST_BESIDE = 8  # arms of a task whose pairs are shown
CAPTION = (
    "Score: the interquartile mean over seeds, with a 95 % bootstrap interval. Size and FLOPs are parts of the dense "
    "agent's, whether or not it was trained."
)
PAIRS_CAPTION = (
    "P(row above column): how likely a seed of the one scores above a seed of the other, ties half, with Newcombe's "
    "95 % interval, which few seeds make wide."
)


def standing_table(record: Record) -> Table:
    """Has an arm a row, the best of its task first, with a letter that the other table calls it by."""
    parts = by_task(record)
    headings = (
        *(("env", "alg", "env steps") if len(parts) > 1 else ()),
        *("", "arm", "seeds", "score", "95 % interval", f"by the {OTHER[record.score]} score"),
        *("policy %", "critic %", "size", "train FLOPs (counted)", "inference FLOPs"),
    )
    rows = []
    for part in parts:
        for place, each in enumerate(standings(part)):
            task = (each.env_id, each.algo.upper(), f"{each.steps:,}") if len(parts) > 1 else ()
            rows.append((*task, letter(place), each.arm, *_cells(part, each)))
    return Table(headings, tuple(rows), texts=len(headings) - 9)


def pair_tables(record: Record) -> list[Table]:
    """Has for each task the best arms beside each other; none of a task that has one arm."""
    return [table for part in by_task(record) if (table := _pair_table(part)).rows]


def _pair_table(record: Record) -> Table:
    names = [each.arm for each in standings(record)][:MOST_BESIDE]
    found = {(pair.one, pair.other): pair.above for pair in pairs(record)}
    letters = [letter(place) for place in range(len(names))]
    rows = [
        (mark, one, *("" if one == other else above_cell(found[one, other]) for other in names))
        for mark, one in zip(letters, names, strict=True)
    ]
    return Table(("", "above", *letters), tuple(rows) if len(rows) > 1 else (), texts=2)


def terminal_tables(record: Record) -> list[tuple[str, Table]]:
    """Returns titles and tables as narrow as 80 columns: of each task the arms, and without intervals the pairs."""
    tables: list[tuple[str, Table]] = []
    for part in by_task(record):
        found = standings(part)
        rows = [
            (
                f"{letter(place)} {each.arm}",
                str(each.seeds),
                _mean_cell(each.by[part.score]),
                _ratio(each.costs["size_ratio"]),
                _ratio(each.costs["train_flops_ratio_counted"]),
            )
            for place, each in enumerate(found)
        ]
        title = f"{found[0].env_id}, {found[0].algo.upper()}, {found[0].steps:,} env steps" if found else ""
        tables.append((title, Table(("arm", "seeds", "score, 95 % interval", "size", "FLOPs"), tuple(rows))))
        pair = _pair_table(part)
        narrow = [(row[0], *(cell.partition(" ")[0] for cell in row[2:])) for row in pair.rows]
        tables.append(("P(row above column)", Table(("", *pair.headings[2:]), tuple(narrow))))
    return [(title, table) for title, table in tables if table.rows]


def letter(place: int) -> str:
    """Returns A, B, ... Z, AA, AB, ..."""
    return ("" if place < 26 else letter(place // 26 - 1)) + chr(ord("A") + place % 26)


def above_cell(above: Improvement) -> str:
    """Returns such as ".93 (.60 to .99)"; P alone of single seeds."""
    if above.interval is None:
        return _two(above.probability)
    low, high = map(_two, above.interval)
    return f"{_two(above.probability)} ({low} to {high})"


def _two(probability: float) -> str:
    return f"{probability:.2f}".removeprefix("0")


def _cells(record: Record, each: Standing) -> Sequence[str]:
    by, other, costs = each.by[record.score], each.by.get(OTHER[record.score]), each.costs
    span = UNKNOWN if by.interval is None else "{:.5g} to {:.5g}".format(*by.interval)
    also = UNKNOWN if other is None else _mean_cell(other)
    if other is not None and len(other.scores) < each.seeds:
        also += f" of {len(other.scores)}"
    ratios = (costs["size_ratio"], costs["train_flops_ratio_counted"], costs["inference_flops_ratio"])
    return (
        *(str(each.seeds), f"{by.mean:.5g}", span, also),
        *(percent(costs[name]) for name in ("policy_sparsity", "critic_sparsity")),
        *map(_ratio, ratios),
    )


def _mean_cell(summary: Summary) -> str:
    span = "" if summary.interval is None else " ({:.5g} to {:.5g})".format(*summary.interval)
    return f"{summary.mean:.5g}{span}"


def _ratio(ratio: float) -> str:
    return UNKNOWN if math.isnan(ratio) else f"{ratio:.3f}"
