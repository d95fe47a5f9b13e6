"""The layers of one trial: how many of their weights live, and how much the topology still changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from rlx2_ray.report.analysis.outcomes import plan_of
from rlx2_ray.report.figures.curves import STEPS_TITLE
from rlx2_ray.report.figures.theme import CATEGORIES, TALL, empty_figure, say_in, style
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import Series, Trial
from rlx2_ray.sparse.plan import LayerPlan

PREFIX, SUFFIX = "topology/", "_overlap"
NETWORKS = {"policy": ("Blues", "solid"), "critic0": ("Oranges", "solid"), "critic1": ("Oranges", "dot")}


def topology(record: Record, name: str | None = None) -> go.Figure:
    """Draws density and overlap over time of each layer, of the trial called `name` or the one that says most."""
    trial = shown_trial(record, name)
    if trial is None:
        return empty_figure("no trial evolves its topology")
    overlaps = layer_overlaps(trial)
    plan = plan_of(record, trial.config)
    layers = (*plan.policy.layers, *plan.critic.layers) if plan else ()
    colors = _colors(list(dict.fromkeys([*(layer.name for layer in layers), *overlaps])))
    figure = style(make_subplots(rows=2, vertical_spacing=0.2)).update_layout(height=TALL)
    figure.add_trace(_bars(layers, colors), row=1, col=1)
    for layer, series in overlaps.items():
        figure.add_trace(_line(layer, series, colors[layer]), row=2, col=1)
    if not any(series.steps for series in overlaps.values()):
        say_in(figure, 2, "no event yet")
    figure.update_xaxes(
        title_text="layer", type="category", showgrid=False, tickangle=-45, tickfont={"size": 11}, row=1
    )
    figure.update_yaxes(title_text="density (%)", range=[0, 112], row=1)
    figure.update_xaxes(title_text=STEPS_TITLE, rangemode="tozero", row=2)
    least = min((value for series in overlaps.values() for value in series.values), default=0.0)
    range_ = [max(0.0, least - 0.1), 1.05]
    return figure.update_yaxes(title_text="kept by the latest event", tickformat=".0%", range=range_, row=2)


def shown_trial(record: Record, name: str | None) -> Trial | None:
    """Returns the named one; else the winner, else the latest with overlaps."""
    by_name = {trial.name: trial for trial in record.trials}
    for wished in (name, record.ultimate and record.ultimate.trial):
        if wished in by_name:
            return by_name[wished]
    evolving = [trial for trial in record.trials if layer_overlaps(trial)]
    return evolving[-1] if evolving else None


def layer_overlaps(trial: Trial) -> Mapping[str, Series]:
    """Returns layer -> live weights that the latest event kept; whole networks where no layers are tracked."""
    found = {
        name.removeprefix(PREFIX).removesuffix(SUFFIX): series
        for name, series in trial.series.items()
        if name.startswith(PREFIX) and name.endswith(SUFFIX)
    }
    layers = {name: found[name] for name in sorted(found) if "." in name}
    return {name: layers[name] for name in sorted(layers, key=_order)} if layers else found


def _order(layer: str) -> tuple[bool, str]:
    """The policy before the critics."""
    return not layer.startswith("policy"), layer


def _colors(names: Sequence[str]) -> dict[str, str]:
    colors: dict[str, str] = {}
    for network, (scale, _) in NETWORKS.items():
        own = [name for name in names if name.partition(".")[0] == network]
        places = [0.95 - 0.45 * rank / max(1, len(own) - 1) for rank in range(len(own))]
        colors |= dict(zip(own, sample_colorscale(scale, places) if own else [], strict=True))
    rest = [name for name in names if name not in colors]
    return colors | {name: CATEGORIES[rank % len(CATEGORIES)] for rank, name in enumerate(rest)}


def _bars(layers: Sequence[LayerPlan], colors: Mapping[str, str]) -> go.Bar:
    densities = [100 * (1 - layer.sparsity) for layer in layers]
    return go.Bar(
        x=[layer.name for layer in layers],
        y=densities,
        marker_color=[colors[layer.name] for layer in layers],
        text=[f"{density:.3g}" for density in densities],
        textposition="outside",
        textfont={"size": 11},
        cliponaxis=False,
        customdata=[f"{layer.active:,} of {layer.shape[0]} x {layer.shape[1]} weights" for layer in layers],
        hovertemplate="%{x}: %{customdata}<extra></extra>",
        showlegend=False,
    )


def _line(layer: str, series: Series, color: str) -> go.Scatter:
    dash = NETWORKS.get(layer.partition(".")[0], ("", "solid"))[1]
    return go.Scatter(
        x=series.steps,
        y=series.values,
        name=layer,
        mode="lines",
        line={"color": color, "width": 2, "dash": dash},
        hovertemplate=f"{layer}: %{{y:.1%}} at %{{x:,}}<extra></extra>",
    )
