"""The look of all figures: one template, and colours that colour-blind people tell apart (Okabe and Ito 2008)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#B8A800",
)  # fmt: skip
CATEGORIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW)
INK, MUTED, GRID, DENSE = "#1f2933", "#616e7c", "#e4e7eb", "#323f4b"
BAND = "rgba(50, 63, 75, 0.10)"  # of dense, +- 3 %
SCALE = "Viridis"
VERDICT_COLORS = {"accept": GREEN, "inconclusive": ORANGE, "reject": VERMILLION, "undecided": MUTED}
VERDICT_SYMBOLS = {"accept": "circle", "inconclusive": "diamond", "reject": "x", "undecided": "circle-open"}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MARGIN = {"l": 64, "r": 20, "t": 34, "b": 52}  # the tool bar has the top for itself
HEIGHT = 360  # pixels
TALL = 640  # of two plots above each other, which a narrow screen has room for
MOST_IN_LINE = 36  # letters of a legend
MOST_BELOW = 8  # entries of a legend beneath the plot
GRAPH_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "showSendToCloud": False,  # else a click would send the data to plotly's server
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}
TOLERANCE = 0.03  # of the dense gain: the band drawn around dense

# Beneath the plot, which makes room for it; a long one scrolls.
LEGEND = {
    **{"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "font": {"size": 12}},
    "maxheight": 0.35,
}
MOST_LETTERS = 60  # of the labels beside each other under an axis, from which on they are slanted
SLANT = -35  # degrees; on a narrow screen of shorter labels too
_AXIS = {
    "gridcolor": GRID,
    "linecolor": "#9aa5b1",
    "zeroline": False,
    "ticks": "outside",
    "ticklen": 4,
    "tickcolor": "#9aa5b1",
    "showline": True,
    "automargin": True,
    "title": {"standoff": 8},
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 13, "color": INK},
        "colorway": CATEGORIES,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": LEGEND,
        "hoverlabel": {"font": {"family": FONT, "size": 12}},
        "margin": MARGIN,
        "height": HEIGHT,
        "annotationdefaults": {"font": {"size": 12, "color": MUTED}},
    }
)


def make_figure() -> go.Figure:
    return style(go.Figure())


def style(figure: go.Figure) -> go.Figure:
    """Gives a figure the look of all."""
    return figure.update_layout(template=TEMPLATE)


def tall_legend(figure: go.Figure, entries: int) -> go.Figure:
    """A legend of many entries stands beside the plot, where it scrolls."""
    if entries > MOST_BELOW:
        figure.update_layout(
            legend={"orientation": "v", "yref": "paper", "x": 1.01, "y": 1, "yanchor": "top", "maxheight": 1}
        )
    return figure


def in_lines(label: str) -> str:
    """Breaks the name of an arm where it is too long for a legend on a narrow screen."""
    return "<br>".join(textwrap.wrap(label, MOST_IN_LINE))


def label_arms(figure: go.Figure, labels: Sequence[str]) -> go.Figure:
    """Names the places 0, 1, ... of the x axis, all of them: long names are broken, or slanted."""
    broken = [label.replace(", ", ",<br>") for label in labels]
    longest = max((len(line) for label in broken for line in label.split("<br>")), default=0)
    is_tight = len(labels) * longest > MOST_LETTERS
    return figure.update_xaxes(
        tickvals=list(range(len(labels))),
        ticktext=list(labels) if is_tight else broken,
        tickangle=SLANT if is_tight else None,
        autotickangles=[0, SLANT],
        ticklabeloverflow="allow",
    )


def empty_figure(words: str) -> go.Figure:
    """Stands in place of a figure that nothing is known for yet."""
    figure = make_figure()
    figure.add_annotation(text=words, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


def say_in(figure: go.Figure, row: int, words: str) -> None:
    """Says why one of the plots above each other is empty."""
    figure.add_annotation(text=words, x=0.5, y=0.5, xref="x domain", yref="y domain", showarrow=False, row=row, col=1)


def arm_colors(labels: Sequence[str], ordered: bool) -> dict[str, str]:
    """Colours each arm: along a scale where their order means something or they are many; dense is dark grey."""
    others = [label for label in labels if label != "dense"]
    if ordered or len(others) > len(CATEGORIES):
        places = [0.82 * (1 - rank / max(1, len(others) - 1)) for rank in range(len(others))]
        colors = sample_colorscale(SCALE, places) if others else []
    else:
        colors = list(CATEGORIES[: len(others)])
    return {"dense": DENSE, **dict(zip(others, colors, strict=True))}


def transparent(color: str, alpha: float) -> str:
    """Returns an "#rrggbb" or "rgb(r, g, b)" colour as rgba."""
    if color.startswith("#"):
        parts = [str(int(color[start : start + 2], 16)) for start in (1, 3, 5)]
    else:
        parts = color[color.index("(") + 1 : color.index(")")].split(",")[:3]
    return f"rgba({','.join(part.strip() for part in parts)},{alpha})"
