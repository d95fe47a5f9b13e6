"""Return kept, in % of dense, as bars: ablations and window lengths, beside what the paper has for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from rlx2_ray.report.analysis.outcomes import Outcome
from rlx2_ray.report.figures.intervals import error_bars
from rlx2_ray.report.figures.theme import BLUE, DENSE, GRID, INK, MUTED, SKY, make_figure


class Bar(NamedTuple):
    label: str
    outcome: Outcome | None  # None: nobody has run it here, or dense
    paper: float | None  # in % of dense; None: the paper does not have it
    deployed: Outcome | None = None  # by the deployed score; None: not known


def return_bars(bars: Sequence[Bar], title: str) -> go.Figure:
    """Draws 95 % intervals where there are two seeds or more; `title`: of the axis that tells the bars apart."""
    figure = make_figure()
    labels = [bar.label for bar in bars]
    figure.add_trace(_here(bars, [bar.outcome for bar in bars], "here", BLUE))
    if any(bar.deployed is not None for bar in bars):
        figure.add_trace(_here(bars, [bar.deployed for bar in bars], "here, deployed", SKY))
    if any(bar.paper is not None for bar in bars):
        hover = "%{x}: %{y:.1f} % in the paper<extra></extra>"
        values = [bar.paper for bar in bars]
        marker = {"color": GRID, "line": {"color": MUTED, "width": 1}}
        figure.add_trace(go.Bar(x=labels, y=values, name="paper", marker=marker, hovertemplate=hover))
    figure.add_hline(100, line={"color": DENSE, "width": 1, "dash": "dot"})
    figure.update_layout(barmode="group", bargap=0.3, showlegend=True)
    figure.update_xaxes(type="category", title_text=title, showgrid=False)
    return figure.update_yaxes(title_text="return (% of dense)", rangemode="tozero")


def _here(bars: Sequence[Bar], found: Sequence[Outcome | None], name: str, color: str) -> go.Bar:
    ratios, intervals = [each.ratio if each else 0.0 for each in found], [each and each.interval for each in found]
    return go.Bar(
        x=[bar.label for bar in bars],
        y=[100 * each.ratio if each else None for each in found],
        name=name,
        marker_color=color,
        error_y=error_bars(ratios, intervals, scale=100, color=INK),
        customdata=[f"{each.seeds} seeds" if each else "not run" for each in found],
        hovertemplate="%{x}: %{y:.1f} %, %{customdata}<extra></extra>",
    )
