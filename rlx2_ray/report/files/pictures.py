"""Figures for papers as PNG or SVG, drawn by matplotlib: an extra, since reports and dashboard do without it.

A browser could draw the report's own figures, but a machine that trains has none.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlx2_ray.report.analysis.arms import by_task
from rlx2_ray.report.analysis.standings import Standing, pairs, standings
from rlx2_ray.report.figures.curves import curves_of
from rlx2_ray.report.figures.seed_means import seed_means
from rlx2_ray.report.figures.theme import CATEGORIES, DENSE, INK
from rlx2_ray.report.page.arm_tables import MOST_BESIDE
from rlx2_ray.report.page.page import write_page
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import RETURN
from rlx2_ray.types import BadInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 200
WIDTH = 6.0  # inches
ASIDE = 1.05  # times its size, that an arm is drawn at for each one of the same size before it
# An SVG of the same runs is the same file, and its words are text.
SETTINGS = {"svg.hashsalt": "rlx2", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
            "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}  # fmt: skip


def write_pictures(records: Sequence[Record], path: Path) -> list[Path]:
    """Writes a file a figure and task beside `path`, which none is written to; returns them.

    Raises BadInput where matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        kind = path.suffix.removeprefix(".")
        raise BadInput(
            f"--format is {kind}, which matplotlib draws, and it is not installed: pip install 'rlx2-ray[figures]', or "
            "give --format html."
        ) from None
    tasks = [part for record in records for part in by_task(record) if standings(part)]
    files = []
    for number, record in enumerate(tasks, start=1):
        for name, draw, height in _wanted(record):
            task = f"_{number}_{_slug(record)}" if len(tasks) > 1 else ""
            file = path.with_name(f"{path.stem}{task}_{name}{path.suffix}")
            files.append(write_page(file, drawn(record, draw, height, path.suffix)))
    return files


def _slug(record: Record) -> str:
    config = record.trials[0].config
    return re.sub(r"[^A-Za-z0-9.]+", "-", f"{config.env.id}-{config.algo}")


def _wanted(record: Record) -> Iterator[tuple[str, Callable[[Record, Axes], None], float]]:
    """The name of each figure, what draws it, and how high it is."""
    arms = len(standings(record))
    yield "scores", draw_scores, 1.0 + 0.32 * arms
    yield "curves", draw_curves, 3.6
    if any(each.costs["size_ratio"] < 1 for each in standings(record)):  # not where it is not known
        yield "size", draw_size, 3.6
    if arms > 1:
        yield "pairs", draw_pairs, 1.2 + 0.45 * min(arms, MOST_BESIDE)


def drawn(record: Record, draw: Callable[[Record, Axes], None], height: float, suffix: str) -> bytes:
    """Returns the file of one figure, which is the same for the same runs."""
    import matplotlib
    from matplotlib.figure import Figure

    first, file = standings(record)[0], io.BytesIO()
    with matplotlib.rc_context(SETTINGS):  # type: ignore[arg-type]
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        draw(record, axes)
        axes.set_title(f"{first.env_id}, {first.algo.upper()}, {first.steps:,} env steps", fontsize=9)
        figure.savefig(file, format=suffix[1:], dpi=DPI, metadata={"Date": None} if suffix == ".svg" else {})
    return file.getvalue()


def draw_scores(record: Record, axes: Axes) -> None:
    """Draws an arm a line: its seeds as points, the interquartile mean with its 95 % interval."""
    found, colors = standings(record)[::-1], _colors(record)
    for place, each in enumerate(found):
        by = each.by[record.score]
        axes.plot(by.scores, [place] * len(by.scores), "o", color=colors[each.arm], alpha=0.45, markersize=5)
        if by.interval is not None:
            axes.plot(by.interval, [place, place], color=colors[each.arm], linewidth=2)
        axes.plot([by.mean], [place], "|", color=INK, markersize=13, markeredgewidth=2)
    axes.set_yticks(range(len(found)), [f"{each.arm} ({each.seeds})" for each in found])
    axes.set_xlabel(f"{record.score} score: seeds, interquartile mean, 95 % interval")


def draw_curves(record: Record, axes: Axes) -> None:
    """Draws the mean return of each arm over env steps, with its 95 % interval."""
    colors = _colors(record)
    for label, series in curves_of(record, RETURN).items():
        means = seed_means(series)
        if means is not None:
            color = colors.get(label, INK)
            axes.plot(means.steps, means.mean, label=f"{label} ({means.seeds})", color=color)
            axes.fill_between(means.steps, means.low, means.high, color=color, alpha=0.15, linewidth=0)
    axes.set_xlabel("env steps")
    axes.set_ylabel("evaluation return: mean, 95 % interval")
    axes.legend(fontsize=7)


def draw_size(record: Record, axes: Axes) -> None:
    """Draws each arm's score against its size."""
    colors, places = _colors(record), Counter[float]()
    for each in standings(record):
        by, size = each.by[record.score], each.costs["size_ratio"]
        apart = size * ASIDE ** places[size]
        places[size] += 1
        low, high = by.interval or (by.mean, by.mean)
        errors = [[max(0.0, by.mean - low)], [max(0.0, high - by.mean)]]
        axes.errorbar([apart], [by.mean], yerr=errors, fmt="o", color=colors[each.arm], capsize=3, label=each.arm)
    axes.set_xscale("log")
    axes.set_xlabel("weights, as a part of the dense agent's")
    axes.set_ylabel(f"{record.score} score, 95 % interval")
    axes.legend(fontsize=7)


def draw_pairs(record: Record, axes: Axes) -> None:
    """Draws P(row above column) of the best arms."""
    names = [each.arm for each in standings(record)][:MOST_BESIDE]
    above = {(pair.one, pair.other): pair.above.probability for pair in pairs(record)}
    rows = [[above.get((one, other), 0.5) for other in names] for one in names]
    axes.imshow(rows, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            if one != other:
                value = above[one, other]
                color = "white" if abs(value - 0.5) > 0.3 else INK
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    axes.set_xlabel("P(row above column)")


def _colors(record: Record) -> dict[str, str]:
    """The same for an arm in every figure; dense is dark."""
    others: list[Standing] = [each for each in standings(record) if each.arm != "dense"]
    return {"dense": DENSE} | {each.arm: CATEGORIES[place % len(CATEGORIES)] for place, each in enumerate(others)}
