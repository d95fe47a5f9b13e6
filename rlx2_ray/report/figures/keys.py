"""What the swept keys do to the score: each alone, and all together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from rlx2_ray.report.analysis.arms import dense_arm, short, show
from rlx2_ray.report.figures.curves import Place, band_width
from rlx2_ray.report.figures.theme import (
    BAND,
    BLUE,
    HEIGHT,
    INK,
    MUTED,
    SCALE,
    TALL,
    empty_figure,
    make_figure,
    style,
)
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.scores import FINAL
from rlx2_ray.search.statistics import statistic_of

MOST_KEYS = 4  # two beside each other
MOST_VALUES = 8  # of a key, that stand at even distances
WIDE = 20  # greatest over least value, from which on a scale is logarithmic
CATEGORY = "category"
BEHIND = "rgba(255, 255, 255, 0.8)"  # labels that lines pass
NOTHING = "no score yet"


def score_by_key(record: Record) -> go.Figure:
    """Draws a panel a swept key: every trial's score, and the interquartile mean of each value that comes twice."""
    trials, keys = _scored(record), _keys(record)[:MOST_KEYS]
    if not trials or not keys:
        return empty_figure(NOTHING)
    rows = -(-len(keys) // 2)
    spacing = {"horizontal_spacing": 0.06, "vertical_spacing": 0.2}
    figure = style(make_subplots(rows=rows, cols=min(2, len(keys)), shared_yaxes="all", **spacing))
    dense = dense_arm(record)
    for number, key in enumerate(keys):
        place = {"row": 1 + number // 2, "col": 1 + number % 2}
        _add_key(figure, record, trials, key, place)
        if dense is not None:
            width = band_width(dense)
            band = (dense.statistic - width, dense.statistic + width)
            figure.add_hrect(*band, fillcolor=BAND, line_width=0, **place)
    figure.update_layout(showlegend=False, height=TALL if rows > 1 else HEIGHT)
    return figure.update_yaxes(title_text=record.metric, col=1)


def _add_key(figure: go.Figure, record: Record, trials: Sequence[Trial], key: str, place: Place) -> None:
    values = [trial.changes.get(key) for trial in trials]
    scale = scale_of(values)
    places = [show(key, value) if scale == CATEGORY else value for value in values]
    points = go.Scatter(
        x=places,
        y=[value_of(record, trial) for trial in trials],
        mode="markers",
        marker={"size": 9, "color": BLUE, "opacity": 0.55},
        customdata=[both_words(trial) for trial in trials],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.add_trace(points, **place)
    if scale == CATEGORY:
        means = [(show(key, value), _scores_at(record, trials, key, value)) for value in ordered(values)]
        _add_means(figure, means, place)
        order = {"categoryorder": "array", "categoryarray": [show(key, value) for value in ordered(values)]}
        figure.update_xaxes(type="category", title_text=short(key), **place, **order)
    else:
        figure.update_xaxes(type=scale, title_text=short(key), **place)


def _scores_at(record: Record, trials: Sequence[Trial], key: str, value: Any) -> list[float]:
    return [value_of(record, trial) for trial in trials if trial.changes.get(key) == value]


def value_of(record: Record, trial: Trial) -> float:
    """Returns the score of a trial that the sweep is by; NaN where it has none."""
    if record.score == FINAL:
        return trial.score_so_far
    return math.nan if trial.deployed is None else trial.deployed


def both_words(trial: Trial) -> str:
    """Returns what a trial's point says when pointed at."""
    deployed = "not known" if trial.deployed is None else f"{trial.deployed:.4g}"
    return f"{trial.name}, score {trial.score_so_far:.4g}, deployed {deployed}"


def _add_means(figure: go.Figure, scores: Sequence[tuple[str, list[float]]], place: Place) -> None:
    repeated = [(place, statistic_of(values)) for place, values in scores if len(values) > 1]
    means = go.Scatter(
        x=[place for place, _ in repeated],
        y=[mean for _, mean in repeated],
        mode="lines+markers",
        line={"color": INK, "width": 1.5},
        marker={"size": 11, "symbol": "line-ew", "line": {"width": 3, "color": INK}},
        hovertemplate="interquartile mean %{y:.4g}<extra></extra>",
    )
    figure.add_trace(means, **place)


def scale_of(values: Sequence[Any]) -> str:
    """Of an axis: a few values, each of which comes again, stand at even distances; other numbers are a scale."""
    different = {repr(value) for value in values}
    is_repeated = len(different) <= MOST_VALUES and 2 * len(different) <= len(values)
    if is_repeated or not all(map(_is_number, values)):
        return CATEGORY
    low, high = min(values), max(values)
    return "log" if low > 0 and high / low >= WIDE else "linear"


def ordered(values: Sequence[Any]) -> list[Any]:
    """Returns each value once: numbers by size, others as text."""
    once = list({repr(value): value for value in values}.values())
    return sorted(once) if all(map(_is_number, once)) else sorted(once, key=str)


def parallel_coordinates(record: Record) -> go.Figure:
    """Draws a line a trial through all its values, coloured by its score.

    It is made of plain lines, since plotly's own needs WebGL, which machines without a GPU may not have.
    """
    trials, keys = _scored(record), _keys(record)
    if not trials or not keys:
        return empty_figure(NOTHING)
    scores = [value_of(record, trial) for trial in trials]
    axes = [*(_axis(trials, key) for key in keys), Axis(record.metric, *_scaled(scores))]
    figure = make_figure()
    for trial, score, *places in zip(trials, scores, *(axis.places for axis in axes), strict=True):
        figure.add_trace(_trial_line(trial, score, places, _color(score, scores)))
    for x, axis in enumerate(axes):
        figure.add_vline(x, line={"color": MUTED, "width": 1})
        for place, label in axis.ticks:
            figure.add_annotation(x=x, y=place, text=label, xanchor="left", xshift=6, showarrow=False, bgcolor=BEHIND)
    names = [axis.name for axis in axes]
    figure.update_xaxes(tickvals=list(range(len(axes))), ticktext=names, range=[-0.1, len(axes) - 0.6], showgrid=False)
    figure.update_xaxes(title_text="swept keys, and what came of them", showline=False)
    return figure.update_yaxes(visible=False, range=[-0.05, 1.05]).update_layout(showlegend=False)


class Axis(NamedTuple):
    name: str
    places: list[float]  # of the trials, in [0, 1]
    ticks: list[tuple[float, str]]  # place and label


def _axis(trials: Sequence[Trial], key: str) -> Axis:
    values: list[Any] = [trial.changes.get(key) for trial in trials]
    scale = scale_of(values)
    if scale != CATEGORY:
        places, _ = _scaled([math.log(value) for value in values] if scale == "log" else values)
        return Axis(short(key), places, _scaled(values)[1])
    order = [repr(value) for value in ordered(values)]
    steps = max(1, len(order) - 1)
    ticks = [(rank / steps, show(key, value)) for rank, value in enumerate(ordered(values))]
    return Axis(short(key), [order.index(repr(value)) / steps for value in values], ticks)


def _scaled(values: Sequence[float]) -> tuple[list[float], list[tuple[float, str]]]:
    """Places between the least and the greatest, which are the ticks."""
    low, high = min(values), max(values)
    span = high - low or 1.0
    return [(value - low) / span for value in values], [(0.0, f"{low:.4g}"), ((high - low) / span, f"{high:.4g}")]


def _color(score: float, scores: Sequence[float]) -> str:
    low, high = min(scores), max(scores)
    (color,) = sample_colorscale(SCALE, [0.9 * (score - low) / (high - low or 1.0)])
    return str(color)


def _trial_line(trial: Trial, score: float, places: Sequence[float], color: str) -> go.Scatter:
    return go.Scatter(
        x=list(range(len(places))),
        y=places,
        mode="lines",
        line={"color": color, "width": 2, "shape": "spline", "smoothing": 0.6},
        hovertemplate=f"{both_words(trial)}<extra></extra>",
    )


def _scored(record: Record) -> list[Trial]:
    return [trial for trial in record.trials if math.isfinite(value_of(record, trial))]


def _keys(record: Record) -> list[str]:
    """Those that were swept and have more than one value, the seed left out."""
    keys = dict.fromkeys(key for trial in record.trials for key in trial.changes)
    return [key for key in keys if len({repr(trial.changes.get(key)) for trial in record.trials}) > 1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
