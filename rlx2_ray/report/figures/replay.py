"""The replay over time: how much it holds, and how far its oldest experience is from the policy."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rlx2_ray.report.figures.curves import STEPS_TITLE, add_mean, curves_of
from rlx2_ray.report.figures.theme import DENSE, arm_colors, empty_figure, style, tall_legend
from rlx2_ray.report.record.record import Record

SIZE, DISTANCE = "replay/size", "replay/policy_distance"


def replay_over_time(record: Record) -> go.Figure:
    """Draws buffer size and policy distance of every arm: the paper's figure 4."""
    sizes, distances = curves_of(record, SIZE), curves_of(record, DISTANCE)
    if not any(series.steps for group in sizes.values() for series in group):
        return empty_figure("no size of a replay yet")
    figure = style(make_subplots(cols=2, horizontal_spacing=0.11))
    colors = arm_colors(list(sizes), ordered=record.kind == "compress")
    for column, groups in enumerate((sizes, distances), start=1):
        for label, series in groups.items():
            add_mean(figure, label, series, colors[label], {"row": 1, "col": column}, legend=column == 1)
    thresholds = {trial.config.replay.policy_distance_threshold for trial in record.trials}
    if len(thresholds) == 1:
        line = {"color": DENSE, "width": 1.2, "dash": "dash"}
        (threshold,) = thresholds
        words = {"annotation_text": "threshold: shrinks above it", "annotation_position": "top right"}
        figure.add_hline(threshold, line=line, row=1, col=2, **words)
    figure.update_xaxes(title_text=STEPS_TITLE)
    figure.update_yaxes(title_text="buffer size (transitions)", rangemode="tozero", col=1)
    figure.update_yaxes(title_text="policy distance", rangemode="tozero", col=2)
    return tall_legend(figure, len(sizes))
