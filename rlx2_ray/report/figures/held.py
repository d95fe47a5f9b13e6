"""What arms hold to the end, an arm a place: both scores, what is lost of the best, the spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rlx2_ray.report.analysis.held import Held, Measured, held_of
from rlx2_ray.report.figures.intervals import error_bars
from rlx2_ray.report.figures.theme import BLUE, GREEN, HEIGHT, SKY, VERMILLION, empty_figure, label_arms, style
from rlx2_ray.report.record.record import Record

ASIDE = 0.12  # of the distance of two arms, by which their two scores stand apart
ROW = 220  # pixels of a plot


def held_figure(record: Record) -> go.Figure:
    """Draws three plots above each other, with 95 % intervals over seeds."""
    found = held_of(record)
    if not found:
        return empty_figure("no score yet")
    figure = style(make_subplots(rows=3, shared_xaxes=True, vertical_spacing=0.04))
    places = [float(place) for place in range(len(found))]
    _add(figure, 1, [place - ASIDE for place in places], [each.final for each in found], "at the end", BLUE, found)
    _add(figure, 1, [place + ASIDE for place in places], [each.deployed for each in found], "deployed", SKY, found)
    _add(figure, 2, places, [each.lost_of_best for each in found], "lost of the best", VERMILLION, found)
    _add(figure, 3, places, [each.spread for each in found], "spread over seeds", GREEN, found)
    label_arms(figure, [each.arm.label for each in found])
    figure.update_xaxes(range=[-0.6, len(found) - 0.4], showgrid=False)
    figure.update_yaxes(title_text="score", row=1)
    for row, title in ((2, "lost"), (3, "spread")):
        figure.update_yaxes(title_text=title, tickformat=".0%", rangemode="tozero", row=row)
    return figure.update_layout(height=HEIGHT + 2 * ROW)


def _add(
    figure: go.Figure, row: int, places: Sequence[float], measured: Sequence[Measured | None], name: str, color: str,
    found: Sequence[Held],
) -> None:  # fmt: skip
    known = [(x, each, arm) for x, each, arm in zip(places, measured, found, strict=True) if each is not None]
    if not known:
        return
    values, intervals = [each.value for _, each, _ in known], [each.interval for _, each, _ in known]
    points = go.Scatter(
        x=[x for x, _, _ in known],
        y=values,
        error_y=error_bars(values, intervals, thickness=1.6),
        mode="markers",
        name=name,
        marker={"size": 9, "color": color},
        customdata=[f"{arm.arm.label}, {arm.seeds} seeds" for _, _, arm in known],
        hovertemplate=f"{name}, %{{customdata}}: %{{y}}<extra></extra>",
    )
    figure.add_trace(points, row=row, col=1)
