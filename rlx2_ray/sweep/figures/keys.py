"""What the swept keys do to the score: each alone, and all together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rlx2_ray.sweep.arms import dense_arm, short, show
from rlx2_ray.sweep.figures.theme import BAND, BLUE, INK, SCALE, TOLERANCE, empty_figure, make_figure, style
from rlx2_ray.sweep.record import Record, TrialRecord
from rlx2_ray.sweep.statistics import statistic_of

MOST_KEYS = 4  # side by side
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
        figure.update_xaxes(title_text=key, col=column, type="category" if len(order) <= 8 else "linear",
                            categoryorder="array", categoryarray=[str(each) for each in order])  # fmt: skip
        if dense is not None:
            width = TOLERANCE * abs(dense.statistic - (dense.random or 0.0))
            band = (dense.statistic - width, dense.statistic + width)
            figure.add_hrect(*band, fillcolor=BAND, line_width=0, row=1, col=column)
    return figure.update_yaxes(title_text=record.metric, col=1).update_layout(showlegend=False)


def _add_key(figure: go.Figure, trials: Sequence[TrialRecord], key: str, is_number: bool, column: int) -> None:
    values = [_value(trial, key, is_number) for trial in trials]
    is_category = len(set(values)) <= 8
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
    """A line a trial through all its values, coloured by its score."""
    trials, keys = _scored(record), _keys(record)
    if not trials or not keys:
        return empty_figure(NOTHING)
    scores = [trial.score_so_far for trial in trials]
    axes = [_axis(trials, key) for key in keys]
    axes.append({"label": record.metric, "values": scores})
    figure = make_figure()
    bar = {"thickness": 12, "outlinewidth": 0, "title": {"text": record.metric, "side": "top"}}
    line = {"color": scores, "colorscale": SCALE, "showscale": True, "colorbar": bar}
    figure.add_trace(go.Parcoords(dimensions=axes, line=line, labelfont={"size": 12}))
    return figure.update_layout(margin={"l": 70, "r": 40, "t": 56, "b": 24})


def _axis(trials: Sequence[TrialRecord], key: str) -> dict[str, Any]:
    is_number = all(_is_number(trial.changes.get(key)) for trial in trials)
    values = [_value(trial, key, is_number) for trial in trials]
    order = sorted(set(values))
    if is_number and len(order) > 8:
        return {"label": short(key), "values": values}
    places = [order.index(value) for value in values]
    names = [show(key, value) for value in order]
    return {"label": short(key), "values": places, "tickvals": list(range(len(order))), "ticktext": names}


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
