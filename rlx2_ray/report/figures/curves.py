"""Learning curves, and the lines and bands that other figures of time share."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from rlx2_ray.report.analysis.arms import Arm, arms_of, dense_arm
from rlx2_ray.report.figures.seed_means import seed_means
from rlx2_ray.report.figures.theme import (
    BAND,
    DENSE,
    TOLERANCE,
    arm_colors,
    empty_figure,
    in_lines,
    make_figure,
    tall_legend,
    transparent,
)
from rlx2_ray.report.record.record import DenseArm, Record
from rlx2_ray.report.record.trial import EMPTY, RETURN, Series
from rlx2_ray.runs.scores import FINAL

STEPS_TITLE = "env steps"
RETURN_TITLE = "evaluation return"
Place = dict[str, int]  # row and column of a subplot; empty: the figure has one plot


def learning_curves(record: Record) -> go.Figure:
    """Draws the return of every arm, mean and 95 % interval over seeds, with the band that dense ends in."""
    groups = curves_of(record, RETURN)
    if not any(series.steps for group in groups.values() for series in group):
        return empty_figure("no evaluation yet")
    figure = make_figure()
    dense = dense_arm(record, FINAL)
    if dense is not None:
        add_dense_band(figure, dense)
    colors = arm_colors(list(groups), ordered=record.kind == "compress")
    for label, series in groups.items():
        add_mean(figure, label, series, colors[label])
    figure.update_xaxes(title_text=STEPS_TITLE).update_yaxes(title_text=RETURN_TITLE)
    return tall_legend(figure, len(groups))


def curves_of(record: Record, metric: str) -> dict[str, list[Series]]:
    """Returns arm -> its seeds' histories of a metric, the densest first; cached dense seeds have returns only."""
    arms = order_arms(arms_of(record))
    groups = {arm.label: [trial.series.get(metric, EMPTY) for trial in arm.trials] for arm in arms if not arm.is_dense}
    own = {trial.seed: trial.series.get(metric, EMPTY) for arm in arms if arm.is_dense for trial in arm.trials}
    if metric == RETURN and record.dense is not None:
        own = {seed.seed: seed.returns for seed in record.dense.seeds} | own
    return groups | ({"dense": list(own.values())} if own else {})


def order_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Sorts them by sparsity, and as they began where that is the same."""
    return sorted(arms, key=lambda arm: (arm.is_dense, arm.policy_sparsity, arm.critic_sparsity))


def add_mean(
    figure: go.Figure, label: str, series: Sequence[Series], color: str, place: Place | None = None, legend: bool = True
) -> None:
    """Draws the mean line of an arm, and its interval as a band of the same colour."""
    means = seed_means(series)
    if means is None:
        return
    at = place or {}
    if means.seeds > 1:
        band = go.Scatter(
            x=[*means.steps, *means.steps[::-1]],
            y=[*means.high, *means.low[::-1]],
            mode="lines",
            fill="toself",
            fillcolor=transparent(color, 0.16),
            line={"width": 0},
            hoverinfo="skip",
            legendgroup=label,
            showlegend=False,
        )
        figure.add_trace(band, **at)
    line = go.Scatter(
        x=means.steps,
        y=means.mean,
        name=in_lines(label),
        mode="lines+markers" if len(means.steps) == 1 else "lines",
        line={"color": color, "width": 2.4, "dash": "dash" if label == "dense" else "solid"},
        legendgroup=label,
        showlegend=legend,
        customdata=means.measured,
        hovertemplate=f"{label}: %{{y:.4g}} at %{{x:,}} env steps, got to by %{{customdata}} of {means.seeds} seeds"
        "<extra></extra>",
    )
    figure.add_trace(line, **at)


def band_width(dense: DenseArm) -> float:
    """Returns 3 % of dense's gain over random, on one side; 0 where random actions' score is not known."""
    return 0.0 if dense.random is None else TOLERANCE * abs(dense.statistic - dense.random)


def add_dense_band(figure: go.Figure, dense: DenseArm) -> None:
    """Draws dense's score, and 3 % of its gain over random on both sides."""
    width = band_width(dense)
    figure.add_hrect(dense.statistic - width, dense.statistic + width, fillcolor=BAND, line_width=0, layer="below")
    figure.add_hline(dense.statistic, line={"color": DENSE, "width": 1, "dash": "dot"}, layer="below")
