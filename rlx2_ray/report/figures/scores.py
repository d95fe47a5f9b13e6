"""Every trial's score against the dense band."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from rlx2_ray.report.analysis.arms import Arm, arms_of, dense_arm, short, show
from rlx2_ray.report.figures.curves import add_dense_band, order_arms
from rlx2_ray.report.figures.theme import DENSE, INK, arm_colors, empty_figure, in_lines, label_arms, make_figure
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.scores import FINAL
from rlx2_ray.search.statistics import statistic_of

UNKNOWN = "-"
LONGEST = 24  # letters of a label, beyond which its keys go to the title
SPREAD = 0.5  # of an arm's width, over which its seeds are spread


def trial_scores(record: Record) -> go.Figure:
    """Draws a point a seed: filled when it has finished, open while it runs, a triangle where it was stopped early."""
    arms = [arm for arm in order_arms(arms_of(record)) if any(_has_score(trial) for trial in arm.trials)]
    dense = dense_arm(record, FINAL)
    cached = () if dense is None or any(arm.is_dense for arm in arms) else dense.seeds
    if not arms and not cached:
        return empty_figure("no score yet")
    figure = make_figure()
    if dense is not None:
        add_dense_band(figure, dense)
    labels = [arm.label for arm in arms] + (["dense"] if cached else [])
    colors = arm_colors(labels, ordered=record.kind == "compress")
    for place, arm in enumerate(arms):
        _add_arm(figure, arm, place, colors.get(arm.label, DENSE))
    if cached:
        places, words = spread(len(arms), len(cached)), [f"seed {seed.seed}, measured before" for seed in cached]
        _add_points(figure, places, [seed.score for seed in cached], words, DENSE, "circle")
        _add_deployed(figure, places, [seed.deployed for seed in cached], words)
    names, title = _names(record, arms, labels)
    label_arms(figure, names).update_xaxes(title_text=in_lines(title))
    figure.update_xaxes(range=[-0.6, len(labels) - 0.4], showgrid=False)
    return figure.update_yaxes(title_text="score").update_layout(showlegend=False)


def _names(record: Record, arms: Sequence[Arm], labels: Sequence[str]) -> tuple[Sequence[str], str]:
    """Returns what stands under the axis, and its title, which has the swept keys where the labels are too long."""
    if record.kind == "compress":
        return labels, "policy / critic sparsity"
    keys = list(dict.fromkeys(key for arm in arms for key in arm.trials[0].changes))
    if record.kind == "task" or not keys or max(map(len, labels)) <= LONGEST:
        return labels, "arm"
    return [_values(arm, keys) for arm in arms], f"arm: {', '.join(map(short, keys))}"


def _values(arm: Arm, keys: Sequence[str]) -> str:
    first = arm.trials[0]
    values = [UNKNOWN if first.changes.get(key) is None else show(key, first.changes[key]) for key in keys]
    return " ".join([first.member or "", *values]).strip()


def _has_score(trial: Trial) -> bool:
    return math.isfinite(trial.score_so_far)


def _add_arm(figure: go.Figure, arm: Arm, place: int, color: str) -> None:
    trials = [trial for trial in arm.trials if _has_score(trial)]
    for symbol in sorted({symbol_of(trial) for trial in trials}):
        own = [(x, trial) for x, trial in zip(spread(place, len(trials)), trials, strict=True)
               if symbol_of(trial) == symbol]  # fmt: skip
        words = [f"{trial.name}, {trial.state}" for _, trial in own]
        _add_points(figure, [x for x, _ in own], [trial.score_so_far for _, trial in own], words, color, symbol)
    names = [trial.name for trial in trials]
    _add_deployed(figure, spread(place, len(trials)), [trial.deployed for trial in trials], names)
    if arm.scores:
        value = statistic_of(arm.scores)
        ends = [place - SPREAD / 2, place + SPREAD / 2]
        line = {"color": INK, "width": 2.5}
        hover = f"interquartile mean of {len(arm.scores)} seeds: {value:.4g}<extra></extra>"
        figure.add_trace(go.Scatter(x=ends, y=[value, value], mode="lines", line=line, hovertemplate=hover))


def _add_points(
    figure: go.Figure, xs: Sequence[float], ys: Sequence[float], words: Sequence[str], color: str, symbol: str
) -> None:
    marker = {"color": color, "size": 10, "symbol": symbol, "line": {"width": 1.5, "color": color}}
    hover = "%{customdata}: %{y:.4g}<extra></extra>"
    figure.add_trace(go.Scatter(x=xs, y=ys, mode="markers", marker=marker, customdata=words, hovertemplate=hover))


def _add_deployed(figure: go.Figure, xs: Sequence[float], scores: Sequence[float | None], words: Sequence[str]) -> None:
    """Of the seeds that have it, above or below their other score."""
    known = [(x, score, name) for x, score, name in zip(xs, scores, words, strict=True) if score is not None]
    if known:
        xs, ys, names = (list(column) for column in zip(*known, strict=True))
        _add_points(figure, xs, ys, [f"{name}, deployed" for name in names], INK, "diamond-open")


def symbol_of(trial: Trial) -> str:
    if trial.ended_early:
        return "triangle-down"
    return "circle" if trial.state == "finished" else "circle-open"


def spread(place: int, count: int) -> list[float]:
    """Returns places of `count` seeds around their arm's, so that none hides another."""
    if count == 1:
        return [float(place)]
    return [place - SPREAD / 2 + SPREAD * k / (count - 1) for k in range(count)]
