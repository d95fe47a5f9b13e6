"""docs/searcher.md and docs/searcher.png from results/searcher.json."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

from benchmarks.places import ROOT
from benchmarks.searcher.summary import EDGES, MANY_AT_ONCE, PLANES, USUAL_NOISE
from benchmarks.searcher.truth import BAD, FAILED, PLATEAUS, SLOPE, UNEVEN, UNLIKE, WIDTHS
from rlx2_ray.search.check import IMPROBABLE
from rlx2_ray.search.decision import Rule
from rlx2_ray.search.options import PLANE_RUNS, Options
from rlx2_ray.search.standing import HARM, RISK

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PAGE = ROOT / "docs" / "searcher.md"
PICTURE = ROOT / "docs" / "searcher.png"

Figures = dict[str, Any]

HEADINGS = ("noise", "runs: mean (90 %, most)", "of them dense", "accepted", "bad among all (95 % sure: under)")
HEADINGS += ("bad among accepted", "inconclusive", "of these bad, among all", "nothing stated")
HEADINGS += ("size of accepted / smallest possible",)
KINDS_OF_TRUTH = {
    "bimodal": "more and more seeds never learn, the others stay on the plateau",
    "sloping": f"the plateau falls from {SLOPE[0]} to {SLOPE[1]} over the levels",
    "uneven": f"each level is off its curve, by {UNEVEN:.0%} (standard deviation)",
    "heavy tails": "seeds differ by Student's t with 2.5 degrees of freedom, of the same quartiles",
    "noisier": f"sparse seeds differ {UNLIKE['noisier']:g} times as much as dense ones",
    "quieter": f"sparse seeds differ {UNLIKE['quieter']:g} times as much as dense ones",
}
CALIBRATED = {  # title, by the section of the figures and the kind in it
    ("bootstrap", "bootstrap"): "Pr(R ≥ 0.97), of networks that nothing has chosen",
    ("line", "decisions"): "Pr(R ≥ 0.97), of networks on trial in 1-D, at the end",
    ("line", "beliefs"): "belief that a level keeps the return, at the end of 1-D",
}


def write(figures: Figures) -> None:
    PAGE.write_text(page(figures))
    draw(figures)


def page(figures: Figures) -> str:
    options, rule = Options(random=0.0), Rule()
    return f"""# How far the compression search can be trusted

Written by `python -m benchmarks.searcher --repetitions {figures["repetitions"]}` from `results/searcher.json`: so many
simulated searches a row, two runs under way at a time, on truths on which nothing was tuned. The true return over
sparsity is flat, then collapses: widths of the collapse {listed(WIDTHS)} levels, plateaus {listed(PLATEAUS)} of
the dense return, thresholds anywhere on the grid (in 1-D also below it: one world in 17 keeps the return at no
level). Seeds differ by the noise, relative to dense less random; {FAILED:.0%} of them collapse to anything from random
to half of their score, dense ones too. A pick is bad when its true ratio is under {BAD}.

The protocol: {options.dense_seeds} dense seeds (up to {options.max_dense_seeds} where they tell more than sparse
ones). A network is accepted where, by all runs together, Pr(R >= {rule.threshold}) is at least {rule.accept} and
Pr(R < {rule.threshold - HARM:.2f}) at most {RISK}, and its {rule.min_seeds} or more fresh seeds are not improbable
(under {IMPROBABLE:.0%}); [compression.md](compression.md) has the model.

## 1-D: 16 levels, at most {options.max_runs} runs (a grid of 16 x 8 with its dense arm: {figures["grid_runs"]})

{table(figures["line"])}

"Nothing stated" is right where no level keeps the return; "inconclusive" is a candidate that is named as such.

## Truths that are not in the family of the search's curves, at noise {USUAL_NOISE}

{named_table("truth", figures["kinds"])}

{kinds_of_truth()}

## Many runs at a time, at noise {USUAL_NOISE}

{at_once_table(figures["at_once"])}

## 2-D: 9 x 9 levels and dense, at most {PLANE_RUNS} runs (a grid of 9 x 9 with its dense arm: 656)

A search here for every {PLANES} in 1-D, for these take much longer.

{table(figures["plane"])}

## The grid, on the same truths as 1-D

{figures["grid_runs"]} runs each. By ratio: the sparsest level whose ratio is at least {rule.threshold}, as papers pick
it. Accepted: the sparsest level that a bootstrap accepts at 8 seeds, of all that are tried.

{grid_table(figures["grid"])}

## Are the stated probabilities true?

![calibration](searcher.png)

The share that is true of all that were stated in a range, and how many these are, at each noise; of truths outside the
family below.

{calibration_tables(figures)}

{rows(BELIEF_HEADINGS, belief_lines(figures["kinds"]))}

{remarks(figures)}
"""


def kinds_of_truth() -> str:
    return "\n".join(f"* {kind}: {words}." for kind, words in KINDS_OF_TRUTH.items())


def named_table(what: str, by_name: Figures) -> str:
    return rows((what, *HEADINGS[1:]), [table_line(name, of) for name, of in by_name.items()])


def at_once_table(by_many: Figures) -> str:
    headings = ("runs at a time", "rounds: mean", *HEADINGS[1:])
    lines = [table_line(str(many), by_many[str(many)]) for many in MANY_AT_ONCE]
    rounds = [f"{by_many[str(many)]['rounds_mean']:.1f}" for many in MANY_AT_ONCE]
    return rows(headings, [[line[0], each, *line[1:]] for line, each in zip(lines, rounds, strict=True)])


BELIEF_HEADINGS = ("truth", *(f"stated {low} to {high}" for low, high in itertools.pairwise(EDGES)))


def belief_lines(kinds: Figures) -> list[list[str]]:
    return [[kind, *belief_cells(of["beliefs"])] for kind, of in kinds.items()]


def belief_cells(bins: Sequence[Figures]) -> list[str]:
    found = {one["from"]: f"{one['true']:.2f} ({one['count']})" for one in bins}
    return [found.get(low, "") for low in EDGES[:-1]]


def listed_by_noise(values: dict[str, float], form: str) -> str:
    return ", ".join(f"{value:{form}} at {noise}" for noise, value in values.items())


def remarks(figures: Figures) -> str:
    high = {noise: [one for one in of["decisions"] if one["from"] >= 0.9] for noise, of in figures["line"].items()}
    true = {noise: weighted(bins, "true") for noise, bins in high.items()}
    stated = weighted([one for bins in high.values() for one in bins], "stated")
    return f"""Of the networks that had fresh seeds, of all stated at 0.9 or more ({stated:.2f} in the mean), true in
this simulation: {listed_by_noise(true, ".2f")}. Where that is less than stated, the search is too sure of the
network at the edge of the collapse, since the smallest that looks good enough is picked from many. What is false
there is seldom bad: see the tables."""


def weighted(bins: Sequence[Figures], key: str) -> float:
    return sum(one[key] * one["count"] for one in bins) / sum(one["count"] for one in bins)


def listed(values: Sequence[float]) -> str:
    distinct = dict.fromkeys(values)
    return ", ".join(
        f"{value:g}" + (f" ({values.count(value)} of {len(values)})" if values.count(value) > 1 else "")
        for value in distinct
    )


def rows(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    divider = "| " + " | ".join("---:" for _ in headings) + " |"
    return "\n".join([f"| {' | '.join(headings)} |", divider, *(f"| {' | '.join(line)} |" for line in lines)])


def table(by_noise: Figures) -> str:
    return rows(HEADINGS, [table_line(noise, figures) for noise, figures in by_noise.items()])


def table_line(noise: str, of: Figures) -> list[str]:
    runs = f"{of['runs_mean']:.0f} ({of['runs_90']:.0f}, {of['runs_max']})"
    bad = f"{of['bad_accepted']:.1%} ({of['bad_accepted_at_most']:.1%})"
    shares = [
        f"{of['accepted']:.0%}",
        bad,
        f"{of['bad_among_accepted']:.1%}",
        f"{of['inconclusive']:.0%}",
        f"{of['bad_inconclusive']:.1%}",
    ]
    return [noise, runs, f"{of['dense_runs_mean']:.0f}", *shares, f"{of['none']:.0%}", times(of["oversize"])]


def times(oversize: float | None) -> str:
    return "-" if oversize is None else f"{oversize:.2f}"


def grid_table(grid: Figures) -> str:
    headings = ["noise", "by ratio: picked", "bad picks", "size", "accepted: picked", "bad picks", "size"]
    return rows(
        headings, [[noise, *grid_cells(of["by_ratio"]), *grid_cells(of["accepted"])] for noise, of in grid.items()]
    )


def grid_cells(of: Figures) -> list[str]:
    return [f"{of['picked']:.0%}", f"{of['bad']:.1%}", times(of["oversize"])]


def calibration_tables(figures: Figures) -> str:
    return "\n\n".join(
        f"{title[0].upper()}{title[1:]}:\n\n{calibration_table(figures[section], kind)}"
        for (section, kind), title in CALIBRATED.items()
    )


def calibration_table(by_noise: Figures, kind: str) -> str:
    cells = {
        (one["from"], noise): f"{one['true']:.2f} ({one['count']})"
        for noise, of in by_noise.items()
        for one in of[kind]
    }
    lines = [
        [f"{low:.2f} to {high:.2f}", *(cells.get((low, noise), "-") for noise in by_noise)]
        for low, high in itertools.pairwise(EDGES)
    ]
    return rows(["stated", *by_noise], lines)


def draw(figures: Figures) -> None:
    figure, panels = plt.subplots(2, 2, figsize=(11, 8.5), layout="constrained")
    for axes, ((section, kind), title) in zip(panels.flat, CALIBRATED.items(), strict=False):
        draw_calibration(axes, figures[section], kind)
        axes.set(xlabel="stated probability", ylabel="share that is true", title=title)
        axes.title.set_fontsize(10)
        axes.legend(title="noise", fontsize=8, title_fontsize=8)
    draw_runs(panels.flat[3], figures)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})
    plt.close(figure)


def draw_calibration(axes: plt.Axes, by_noise: Figures, kind: str) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for offset, (noise, of) in enumerate(by_noise.items()):
        bins = of[kind]
        stated = np.array([one["stated"] for one in bins]) + 0.004 * (offset - 1.5)  # so that the bars stay apart
        true = np.array([one["true"] for one in bins])
        errors = [true - [one["low"] for one in bins], [one["high"] for one in bins] - true]
        axes.errorbar(stated, true, yerr=np.maximum(errors, 0), marker="o", markersize=3, linewidth=1, label=noise)


def draw_runs(axes: plt.Axes, figures: Figures) -> None:
    """Runs and verdicts of both searches."""
    for kind, name in {"line": "1-D", "plane": "2-D"}.items():
        of = figures[kind]
        noises = [float(noise) for noise in of]
        means = [each["runs_mean"] for each in of.values()]
        tops = [each["runs_90"] for each in of.values()]
        axes.plot(noises, means, marker="o", markersize=3, label=f"{name}, mean")
        axes.plot(noises, tops, linestyle=":", color=axes.lines[-1].get_color(), label=f"{name}, 90 %")
    axes.axhline(figures["grid_runs"] / 2, color="grey", linewidth=0.8, label="half of the grid of 16 x 8")
    axes.set(xlabel="noise", ylabel="runs", title="runs of a search", ylim=(0, 110))
    axes.title.set_fontsize(10)
    axes.legend(fontsize=8)
