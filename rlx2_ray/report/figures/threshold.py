"""What a one-dimensional search believes of the threshold: now, and run by run."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rlx2_ray.report.analysis.arms import percent
from rlx2_ray.report.figures.theme import BLUE, TALL, empty_figure, style
from rlx2_ray.report.record.record import Record

BELOW = {"len": 0.4, "y": 0, "yanchor": "bottom"}  # of the colour bar, beside its own plot
AXIS_NAMES = {"critic": "critic sparsity (%)"}


def threshold_belief(record: Record) -> go.Figure:
    """Draws the probability of each level to be the sparsest that still keeps the return."""
    if not record.beliefs:
        return empty_figure("nothing is believed yet of where the threshold lies")
    now = record.beliefs[-1]
    title = AXIS_NAMES.get(record.axis, "policy sparsity (%)")
    names = [percent(level) for level in now.levels]
    figure = style(make_subplots(rows=2, vertical_spacing=0.2)).update_layout(height=TALL)
    hover = f"{title.removesuffix(' (%)')} %{{x}} %: %{{y:.3f}}<extra></extra>"
    figure.add_trace(go.Bar(x=names, y=now.mass, marker_color=BLUE, hovertemplate=hover), row=1, col=1)
    history = go.Heatmap(
        x=[str(belief.runs) for belief in record.beliefs],
        y=names,
        z=[list(row) for row in zip(*(belief.mass for belief in record.beliefs), strict=True)],
        colorscale=[[0, "white"], [1, BLUE]],
        zmin=0,
        colorbar={"title": {"text": "probability", "side": "right"}, "thickness": 12, "outlinewidth": 0} | BELOW,
        hovertemplate="after %{x} runs, %{y} %: %{z:.3f}<extra></extra>",
    )
    figure.add_trace(history, row=2, col=1)
    figure.update_xaxes(type="category", title_text=title, tickangle=-45, tickfont={"size": 11}, row=1)
    figure.update_yaxes(title_text=f"probability, after {now.runs} runs", rangemode="tozero", row=1)
    figure.update_xaxes(type="category", title_text="runs done", showgrid=False, row=2)
    figure.update_yaxes(type="category", title_text=title, showgrid=False, row=2)
    return figure.update_layout(showlegend=False, bargap=0.15)
