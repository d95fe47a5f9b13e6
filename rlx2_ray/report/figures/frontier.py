"""Where in policy sparsity x critic sparsity the return is kept, and R against the size of the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from rlx2_ray.report.analysis.outcomes import (
    VERDICT_WORDS,
    VERDICTS,
    Outcome,
    other_outcomes,
    outcomes,
    probability_words,
)
from rlx2_ray.report.figures.intervals import error_bars
from rlx2_ray.report.figures.theme import (
    DENSE,
    MUTED,
    SCALE,
    VERDICT_COLORS,
    VERDICT_SYMBOLS,
    empty_figure,
    make_figure,
)
from rlx2_ray.report.record.record import Record

SPARSITY_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
SIZE_TICKS = (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1)  # % of the dense weights
NOTHING = "no sparse arm has a score beside dense yet"
LEAST_SPAN = 0.75  # of an axis, in powers of ten: two of its ticks or more
ASIDE = 1.02  # of the size, by which the other score stands beside the one that decides
Others = Mapping[str, Outcome]  # by label
WORST_SHOWN, BEST_SHOWN = 0.5, 1.05  # R; beyond them all are of one colour


def frontier(record: Record) -> go.Figure:
    """Draws policy x critic sparsity on axes logarithmic in density; colour is R, the marker's shape the verdict."""
    found = outcomes(record)
    if not found:
        return empty_figure(NOTHING)
    figure, others, texts = make_figure(), other_outcomes(record), _texts(found)
    for verdict in VERDICTS:
        own = [each for each in found if each.verdict == verdict]
        if own:
            figure.add_trace(_points(own, verdict, others, texts))
    if record.ultimate is not None:
        _ring(figure, record.ultimate.policy_sparsity, record.ultimate.critic_sparsity)
    figure.add_trace(_color_bar())
    ticks = {"tickvals": [1 - tick for tick in SPARSITY_TICKS], "ticktext": [f"{tick:.3g}" for tick in _percents()]}
    low, high = _range([1 - each.policy_sparsity for each in found])
    figure.update_xaxes(type="log", range=[high, low], title_text="policy sparsity (% of weights zero)", **ticks)
    low, high = _range([1 - each.critic_sparsity for each in found])
    return figure.update_yaxes(type="log", range=[high, low], title_text="critic sparsity (%)", **ticks)


def _place(outcome: Outcome) -> tuple[float, float]:
    return outcome.policy_sparsity, outcome.critic_sparsity


def _texts(found: list[Outcome]) -> dict[tuple[float, float], str]:
    """Returns the ratios of each place, once: arms of a sweep may have the same two sparsities."""
    ratios: dict[tuple[float, float], list[str]] = {}
    for each in found:
        ratios.setdefault(_place(each), []).append(f"{each.ratio:.0%}")
    return {place: ", ".join(texts) for place, texts in ratios.items()}


def _percents() -> list[float]:
    return [100 * tick for tick in SPARSITY_TICKS]


def _range(densities: list[float]) -> tuple[float, float]:
    """Of a logarithmic axis, with room for the markers, and for a factor of two at the least: two ticks or more."""
    low, high = math.log10(min(densities)), math.log10(max(densities))
    room = max(0.12 * (high - low), (LEAST_SPAN - high + low) / 2, 0.06)
    return low - room, high + room


def _points(own: list[Outcome], verdict: str, others: Others, texts: dict[tuple[float, float], str]) -> go.Scatter:
    symbol = VERDICT_SYMBOLS[verdict]
    edge = {"width": 2.5 if symbol.endswith("open") else 1, "color": MUTED}
    return go.Scatter(
        x=[1 - each.policy_sparsity for each in own],
        y=[1 - each.critic_sparsity for each in own],
        mode="markers+text",
        name=VERDICT_WORDS[verdict],
        text=[texts.pop(_place(each), "") for each in own],
        textposition="top center",
        cliponaxis=False,
        textfont={"size": 11},
        marker={
            "symbol": symbol, "size": 17, "color": [_color(each.ratio) for each in own], "line": edge,
        },
        customdata=[words_of(each, others.get(each.label)) for each in own],
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def _color(ratio: float) -> str:
    """On the scale of `_color_bar`; a colour, since plotly.js cannot give a legend that of a number."""
    place = (ratio - WORST_SHOWN) / (BEST_SHOWN - WORST_SHOWN)
    (color,) = sample_colorscale(SCALE, [min(max(place, 0.0), 1.0)])
    return str(color)


def _color_bar() -> go.Scatter:
    """A trace without points, for its bar."""
    bar = {"title": {"text": "R", "side": "top"}, "thickness": 12, "tickformat": ".0%", "outlinewidth": 0}
    marker = {"colorscale": SCALE, "cmin": WORST_SHOWN, "cmax": BEST_SHOWN, "showscale": True, "colorbar": bar}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, showlegend=False, hoverinfo="skip")


def _ring(figure: go.Figure, policy_sparsity: float, critic_sparsity: float) -> None:
    marker = {"symbol": "circle-open", "size": 27, "color": DENSE, "line": {"width": 2}}
    at = {"x": [1 - policy_sparsity], "y": [1 - critic_sparsity]}
    figure.add_trace(go.Scatter(**at, mode="markers", name="ultimate", marker=marker, hoverinfo="skip"))


def ratio_against_size(record: Record) -> go.Figure:
    """Draws R with its 95 % interval against the weights that are left: the paper's figure 5 with a decision in it."""
    found = outcomes(record)
    if not found:
        return empty_figure(NOTHING)
    figure, others = make_figure(), other_outcomes(record)
    knows_size = all(each.size_ratio for each in found)
    if others:
        figure.add_trace(_beside(list(others.values()), knows_size))
    for verdict in VERDICTS:
        own = [each for each in found if each.verdict == verdict]
        if own:
            figure.add_trace(_intervals(own, verdict, knows_size, others))
    figure.add_hline(
        record.threshold,
        line={"color": DENSE, "width": 1.2, "dash": "dash"},
        annotation_text=f"{record.threshold:.0%} of dense",
        annotation_position="bottom right",
    )
    figure.add_hline(1.0, line={"color": MUTED, "width": 0.8, "dash": "dot"})
    of_what = "weights left (% of dense,<br>and how many times fewer)" if knows_size else "policy density (%)"
    ticks = {"tickvals": SIZE_TICKS, "ticktext": [f"{tick:g} %<br>{100 / tick:g}x" for tick in SIZE_TICKS]}
    low, high = _range([_left(each, knows_size) for each in found])
    figure.update_xaxes(type="log", range=[high, low], title_text=of_what, **ticks)
    return figure.update_yaxes(title_text="R (dense = 100 %)", tickformat=".0%")


def _beside(others: list[Outcome], knows_size: bool) -> go.Scatter:
    """The same arms by the score that does not decide, a little to the right."""
    return go.Scatter(
        x=[_left(each, knows_size) / ASIDE for each in others],
        y=[each.ratio for each in others],
        error_y=_error(others, color=MUTED, thickness=1.0, width=3),
        mode="markers",
        name=f"by the {others[0].by} score",
        marker={"symbol": "diamond-tall-open", "size": 9, "color": MUTED},
        customdata=[words_of(each) for each in others],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _error(own: list[Outcome], **look: Any) -> dict[str, Any]:
    return error_bars([each.ratio for each in own], [each.interval for each in own], **look)


def _intervals(own: list[Outcome], verdict: str, knows_size: bool, others: Others) -> go.Scatter:
    color = VERDICT_COLORS[verdict]
    return go.Scatter(
        x=[_left(each, knows_size) for each in own],
        y=[each.ratio for each in own],
        error_y=_error(own, color=color, thickness=1.8),
        mode="markers",
        name=VERDICT_WORDS[verdict],
        marker={"symbol": VERDICT_SYMBOLS[verdict], "size": 12, "color": color, "line": {"width": 1.5, "color": color}},
        customdata=[words_of(each, others.get(each.label)) for each in own],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _left(outcome: Outcome, knows_size: bool) -> float:
    """Percent of the dense weights, or of the policy's where layer sizes are not known."""
    return 100 * (outcome.size_ratio if knows_size and outcome.size_ratio else 1 - outcome.policy_sparsity)


def words_of(outcome: Outcome, other: Outcome | None = None) -> str:
    """Returns what a marker says when pointed at; `other`: the same arm by the score that does not decide."""
    lines = [f"<b>{outcome.label}</b>, {outcome.by} score", f"R = {outcome.ratio:.3f}, {outcome.seeds} seeds"]
    if outcome.interval is not None:
        lines.append("95 % interval {:.3f} to {:.3f}".format(*outcome.interval))
    if outcome.probability is not None:
        lines.append(f"probability of keeping enough {probability_words(outcome.probability)}")
    if other is not None:
        span = " ({:.3f} to {:.3f})".format(*other.interval) if other.interval else ""
        lines.append(f"by the {other.by} score R = {other.ratio:.3f}{span}")
    if outcome.size_ratio:
        lines.append(f"{1 / outcome.size_ratio:.1f} times fewer weights")
    return "<br>".join([*lines, VERDICT_WORDS[outcome.verdict]])
