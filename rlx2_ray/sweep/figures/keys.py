"""What the swept keys do to the score: each alone, and all together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from rlx2_ray.sweep.arms import dense_arm, short, show
from rlx2_ray.sweep.figures.theme import BAND, BLUE, INK, MUTED, SCALE, TOLERANCE, empty_figure, make_figure, style
from rlx2_ray.sweep.record import Record, TrialRecord
from rlx2_ray.sweep.statistics import statistic_of

MOST_KEYS = 4  # side by side
MOST_VALUES = 8  # of a key, that stand at even distances
NOTHING = "no score yet"


def score_by_key(record: Record) -> go.Figure:
    """A panel a swept key: every trial's score, and the interquartile mean of each value that comes twice."""
    trials, keys = _scored(record), _keys(record)[:MOST_KEYS]
    if not trials or not keys:
        return empty_figure(NOTHING)
    figure = style(make_subplots(cols=len(keys), shared_yaxes=True, horizontal_spacing=0.04))
    dense = dense_arm(record)
    for column, key in enumerate(keys, start=1):
        is_number = all(_is_number(trial.changes.get(key)) for trial in trials)
        order = sorted({_value(trial, key, is_number) for trial in trials})
        _add_key(figure, trials, key, is_number, column)
        # Values of a grid stand beside each other at even distances; many different ones are a scale.
        figure.update_xaxes(title_text=key, col=column, type="category" if len(order) <= MOST_VALUES else "linear",
                            categoryorder="array", categoryarray=[str(each) for each in order])  # fmt: skip
        if dense is not None:
            width = TOLERANCE * abs(dense.statistic - (dense.random or 0.0))
            band = (dense.statistic - width, dense.statistic + width)
            figure.add_hrect(*band, fillcolor=BAND, line_width=0, row=1, col=column)
    return figure.update_yaxes(title_text=record.metric, col=1).update_layout(showlegend=False)


def _add_key(figure: go.Figure, trials: Sequence[TrialRecord], key: str, is_number: bool, column: int) -> None:
    values = [_value(trial, key, is_number) for trial in trials]
    is_category = len(set(values)) <= MOST_VALUES
    by_value: dict[Any, list[float]] = {}
    for trial, value in zip(trials, values, strict=True):
        by_value.setdefault(value, []).append(trial.score_so_far)
    points = go.Scatter(
        x=[str(value) for value in values] if is_category else values,
        y=[trial.score_so_far for trial in trials],
        mode="markers",
        marker={"size": 9, "color": BLUE, "opacity": 0.55},
        customdata=[trial.name for trial in trials],
        hovertemplate="%{customdata}: %{y:.4g}<extra></extra>",
    )
    figure.add_trace(points, row=1, col=column)
    repeated = {value: statistic_of(by_value[value]) for value in sorted(by_value) if len(by_value[value]) > 1}
    if repeated:
        means = go.Scatter(
            x=[str(value) for value in repeated] if is_category else list(repeated),
            y=list(repeated.values()),
            mode="lines+markers" if is_number else "markers",
            line={"color": INK, "width": 1.5},
            marker={"size": 11, "symbol": "line-ew", "line": {"width": 3, "color": INK}},
            hovertemplate="interquartile mean %{y:.4g}<extra></extra>",
        )
        figure.add_trace(means, row=1, col=column)


def parallel_coordinates(record: Record) -> go.Figure:
    """A line a trial through all its values, coloured by its score.

    It is made of plain lines, since plotly's own needs WebGL, which machines without a GPU may not have.
    """
    trials, keys = _scored(record), _keys(record)
    if not trials or not keys:
        return empty_figure(NOTHING)
    scores = [trial.score_so_far for trial in trials]
    axes = [*(_axis(trials, key) for key in keys), Axis(record.metric, *_scaled(scores))]
    figure = make_figure()
    for trial, score, *places in zip(trials, scores, *(axis.places for axis in axes), strict=True):
        figure.add_trace(_trial_line(trial, score, places, _color(score, scores)))
    for x, axis in enumerate(axes):
        figure.add_vline(x, line={"color": MUTED, "width": 1})
        for place, label in axis.ticks:
            figure.add_annotation(x=x, y=place, text=label, xanchor="left", xshift=6, showarrow=False)
    names = [axis.name for axis in axes]
    figure.update_xaxes(tickvals=list(range(len(axes))), ticktext=names, range=[-0.1, len(axes) - 0.6], showgrid=False)
    figure.update_xaxes(title_text="swept keys, and what came of them", showline=False)
    return figure.update_yaxes(visible=False, range=[-0.05, 1.05]).update_layout(showlegend=False)


class Axis(NamedTuple):
    name: str
    places: list[float]  # of the trials, in [0, 1]
    ticks: list[tuple[float, str]]  # place and label


def _axis(trials: Sequence[TrialRecord], key: str) -> Axis:
    is_number = all(_is_number(trial.changes.get(key)) for trial in trials)
    values = [_value(trial, key, is_number) for trial in trials]
    order = sorted(set(values))
    if is_number and len(order) > MOST_VALUES:
        return Axis(short(key), *_scaled(values))
    steps = max(1, len(order) - 1)
    ticks = [(rank / steps, show(key, value)) for rank, value in enumerate(order)]
    return Axis(short(key), [order.index(value) / steps for value in values], ticks)


def _scaled(values: Sequence[float]) -> tuple[list[float], list[tuple[float, str]]]:
    """Places between the least and the greatest, which are the ticks."""
    low, high = min(values), max(values)
    span = high - low or 1.0
    return [(value - low) / span for value in values], [(0.0, f"{low:.4g}"), ((high - low) / span, f"{high:.4g}")]


def _color(score: float, scores: Sequence[float]) -> str:
    low, high = min(scores), max(scores)
    (color,) = sample_colorscale(SCALE, [0.9 * (score - low) / (high - low or 1.0)])
    return str(color)


def _trial_line(trial: TrialRecord, score: float, places: Sequence[float], color: str) -> go.Scatter:
    return go.Scatter(
        x=list(range(len(places))),
        y=places,
        mode="lines",
        line={"color": color, "width": 2, "shape": "spline", "smoothing": 0.6},
        hovertemplate=f"{trial.name}: {score:.4g}<extra></extra>",
    )


def _scored(record: Record) -> list[TrialRecord]:
    return [trial for trial in record.trials if math.isfinite(trial.score_so_far)]


def _keys(record: Record) -> list[str]:
    """Those that were swept and have more than one value, the seed left out."""
    keys = dict.fromkeys(key for trial in record.trials for key in trial.changes)
    return [key for key in keys if len({repr(trial.changes.get(key)) for trial in record.trials}) > 1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(trial: TrialRecord, key: str, is_number: bool) -> Any:
    value = trial.changes.get(key)
    return value if is_number else str(value)
