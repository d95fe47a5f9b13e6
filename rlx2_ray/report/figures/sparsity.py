"""Return against sparsity, a line a method: the paper's figure 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from rlx2_ray.report.analysis.arms import percent
from rlx2_ray.report.analysis.outcomes import Outcome
from rlx2_ray.report.figures.intervals import error_bars
from rlx2_ray.report.figures.theme import DENSE, arm_colors, empty_figure, make_figure

Lines = Mapping[str, Sequence[Outcome]]  # by method


def return_against_sparsity(methods: Lines, deployed: Lines) -> go.Figure:
    """Draws on an axis logarithmic in the policy's density; the critics' sparsity is told beside each point.

    `deployed`: the same by the deployed score, as far as that is known.
    """
    if not any(methods.values()):
        return empty_figure("no arm has a score beside dense yet")
    figure = make_figure()
    colors = arm_colors(list(methods), ordered=False)
    for method, found in methods.items():
        figure.add_trace(_line(method, found, colors[method]))
        if deployed.get(method):
            figure.add_trace(_line(f"{method}, deployed", deployed[method], colors[method], dash="dash"))
    figure.add_hline(100, line={"color": DENSE, "width": 1, "dash": "dot"})
    words = {1 - each.policy_sparsity: _tick(each) for found in methods.values() for each in found}
    ticks = {"tickvals": list(words), "ticktext": list(words.values())}
    title = "policy sparsity (%),<br>how many times fewer weights in all networks"
    figure.update_xaxes(type="log", autorange="reversed", title_text=title, **ticks)
    return figure.update_yaxes(title_text="return (% of dense)", rangemode="tozero")


def _tick(outcome: Outcome) -> str:
    size = f"<br>{1 / outcome.size_ratio:.3g}x" if outcome.size_ratio else ""
    return percent(outcome.policy_sparsity) + size


def _line(method: str, found: Sequence[Outcome], color: str, dash: str = "solid") -> go.Scatter:
    ratios, intervals = [each.ratio for each in found], [each.interval for each in found]
    return go.Scatter(
        x=[1 - each.policy_sparsity for each in found],
        y=[100 * ratio for ratio in ratios],
        error_y=error_bars(ratios, intervals, scale=100, thickness=1.6),
        name=method,
        mode="lines+markers",
        line={"color": color, "width": 2.2, "dash": dash},
        marker={"size": 9},
        customdata=[f"{each.label}: {100 * each.ratio:.1f} %, {each.seeds} seeds" for each in found],
        hovertemplate="%{customdata}<extra></extra>",
    )
