"""The replay over time: how much it holds, and how far its oldest experience is from the policy."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rlx2_ray.report.figures.curves import STEPS_TITLE, add_mean, curves_of
from rlx2_ray.report.figures.theme import DENSE, TALL, arm_colors, empty_figure, say_in, style, tall_legend
from rlx2_ray.report.record.record import Record

SIZE, DISTANCE = "replay/size", "replay/policy_distance"


def replay_over_time(record: Record) -> go.Figure:
    """Draws buffer size and policy distance of every arm: the paper's figure 4."""
    sizes, distances = curves_of(record, SIZE), curves_of(record, DISTANCE)
    if not any(series.steps for group in sizes.values() for series in group):
        return empty_figure("no size of a replay yet")
    figure = style(make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06)).update_layout(height=TALL)
    colors = arm_colors(list(sizes), ordered=record.kind == "compress")
    for row, groups in enumerate((sizes, distances), start=1):
        for label, series in groups.items():
            add_mean(figure, label, series, colors[label], {"row": row, "col": 1}, legend=row == 1)
    if not any(series.steps for group in distances.values() for series in group):
        say_in(figure, 2, "no distance measured yet")
    thresholds = {trial.config.replay.policy_distance_threshold for trial in record.trials}
    if len(thresholds) == 1:
        line = {"color": DENSE, "width": 1.2, "dash": "dash"}
        (threshold,) = thresholds
        words = {"annotation_text": "threshold: shrinks above it", "annotation_position": "top right"}
        figure.add_hline(threshold, line=line, row=2, col=1, **words)
    figure.update_xaxes(title_text=STEPS_TITLE, row=2)
    figure.update_yaxes(title_text="buffer size (transitions)", rangemode="tozero", row=1)
    figure.update_yaxes(title_text="policy distance", rangemode="tozero", row=2)
    return tall_legend(figure, len(sizes))
