"""The tables and pictures of `results/README.md`, from the finished runs in `results/runs`.

    python -m benchmarks.results [--archive results/runs] [--out results/README.md]

It trains nothing: `rlx2 archive DIR... --into results/runs` adds runs, and this writes their section anew.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib

from benchmarks.places import ROOT
from benchmarks.sections import write_section
from rlx2_ray.report.analysis.arms import arms_of, dense_arm, percent
from rlx2_ray.report.analysis.outcomes import Outcome
from rlx2_ray.report.archive.ablations import Bar, ablation_bars, window_bars
from rlx2_ray.report.archive.comparison import main_record, outcome_of, varied_sparsities
from rlx2_ray.report.archive.panels import dynamic_record
from rlx2_ray.report.archive.report import Picture, report_markdown
from rlx2_ray.report.archive.tasks import read_archive
from rlx2_ray.report.figures.curves import curves_of
from rlx2_ray.report.figures.replay import DISTANCE, SIZE
from rlx2_ray.report.figures.seed_means import seed_means
from rlx2_ray.report.figures.theme import DENSE, TOLERANCE, arm_colors
from rlx2_ray.report.record.record import Record
from rlx2_ray.report.record.trial import RETURN

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import EngFormatter

ARCHIVE = ROOT / "results" / "runs"
README = ROOT / "results" / "README.md"
SECTION = "runs"
WRITTEN_BY = "python -m benchmarks.results"


def main() -> None:
    parser = argparse.ArgumentParser(description="The tables and pictures of an archive of runs.")
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="folder that 'rlx2 archive' wrote")
    parser.add_argument("--out", type=Path, default=README, help="file whose section of the runs is written")
    arguments = parser.parse_args()
    archive = read_archive(arguments.archive)
    figures = arguments.out.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    pictures = {record.name: draw_all(record, figures) for record in archive.records}
    text = report_markdown(archive, pictures).replace(f"# Archive: {archive.folder.name}\n", "# Runs of record\n", 1)
    write_section(arguments.out, SECTION, WRITTEN_BY, re.sub(r"^#", "##", text, flags=re.MULTILINE))


def draw_all(record: Record, folder: Path) -> list[Picture]:
    """Those that the task has something for."""
    pictures = []
    for name, (words, draw) in DRAWINGS.items():
        figure = draw(record)
        if figure is not None:
            file = folder / f"{slug(record.name)}-{name}.png"
            figure.savefig(file, dpi=90, metadata={"Software": None})
            plt.close(figure)
            pictures.append(Picture(f"{words}: {record.name}", f"{folder.name}/{file.name}"))
    return pictures


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def draw_curves(record: Record) -> plt.Figure:
    """Return over env steps of every method, and every seed's score."""
    figure, (curves, scores) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(3, 2), layout="constrained")
    plain = main_record(record)
    groups = curves_of(plain, RETURN)
    colors = arm_colors(list(groups), ordered=False)
    draw_means(curves, plain, RETURN)
    curves.set(xlabel="env steps", ylabel="evaluation return", title=record.name)
    dense = dense_arm(plain)
    for axes in (curves, scores):
        if dense is not None:
            width = TOLERANCE * dense.statistic
            axes.axhspan(dense.statistic - width, dense.statistic + width, color=DENSE, alpha=0.1, linewidth=0)
    own = {arm.label: arm.scores for arm in arms_of(plain)}
    for place, label in enumerate(groups):
        scores.scatter([place] * len(own[label]), own[label], color=colors[label], alpha=0.7)
    scores.set_xticks(range(len(groups)), list(groups), rotation=30, ha="right")
    scores.set(title="score of every seed", xlim=(-0.6, len(groups) - 0.4))
    return figure


def draw_means(axes: plt.Axes, record: Record, metric: str) -> None:
    """The mean of every arm over its seeds, with a 95 % interval."""
    groups = curves_of(record, metric)
    colors = arm_colors(list(groups), ordered=False)
    for label, series in groups.items():
        means = seed_means(series)
        if means is not None:
            seeds = f"{means.seeds} seed{'' if means.seeds == 1 else 's'}"
            axes.plot(means.steps, means.mean, color=colors[label], label=f"{label}, {seeds}")
            axes.fill_between(means.steps, means.low, means.high, color=colors[label], alpha=0.15, linewidth=0)
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.legend(fontsize=8)


def draw_replay(record: Record) -> plt.Figure | None:
    dynamic = dynamic_record(record)
    if not any(DISTANCE in trial.series for trial in dynamic.trials):
        return None
    figure, (sizes, distances) = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
    draw_means(sizes, dynamic, SIZE)
    draw_means(distances, dynamic, DISTANCE)
    threshold = dynamic.trials[0].config.replay.policy_distance_threshold
    distances.axhline(threshold, color=DENSE, linewidth=1, linestyle="--")
    sizes.yaxis.set_major_formatter(EngFormatter(sep=" "))
    sizes.set(xlabel="env steps", ylabel="transitions in the replay", ylim=(0, None))
    distances.set(xlabel="env steps", ylabel="policy distance", ylim=(0, None))
    return figure


def draw_sparsity(record: Record) -> plt.Figure | None:
    """Return in % of dense against the policy's sparsity, logarithmic in density."""
    found = {
        method: [outcome for arm in arms if (outcome := outcome_of(record, arm)) is not None]
        for method, arms in varied_sparsities(record).items()
    }
    if not any(found.values()):
        return None
    figure, axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
    for method, outcomes in found.items():
        densities = [1 - each.policy_sparsity for each in outcomes]
        axes.errorbar(densities, kept(outcomes), yerr=errors(outcomes), marker="o", capsize=4, label=method)
    ticks = sorted({1 - each.policy_sparsity for outcomes in found.values() for each in outcomes})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [percent(1 - tick) for tick in ticks])
    axes.minorticks_off()
    axes.invert_xaxis()
    axes.axhline(100, color=DENSE, linewidth=1, linestyle=":")
    axes.set(xlabel="policy sparsity (%)", ylabel="return (% of dense)", ylim=(0, None))
    axes.legend(fontsize=8)
    return figure


def draw_ablations(record: Record) -> plt.Figure | None:
    groups = {"steps of the target's window": window_bars(record), "what is changed": ablation_bars(record)}
    there = {title: bars for title, bars in groups.items() if any(bar.outcome for bar in bars)}
    if not there:
        return None
    figure, panels = plt.subplots(1, len(there), figsize=(5.5 * len(there), 3.2), layout="constrained", squeeze=False)
    for axes, (title, bars) in zip(panels[0], there.items(), strict=True):
        draw_bars(axes, bars)
        axes.set(xlabel=title, ylabel="return (% of dense)")
    return figure


def draw_bars(axes: plt.Axes, bars: Sequence[Bar]) -> None:
    """Ours on the left of each place, the paper's on the right."""
    here = [(place, bar.outcome) for place, bar in enumerate(bars) if bar.outcome is not None]
    outcomes = [outcome for _, outcome in here]
    paper = [(place + 0.2, bar.paper) for place, bar in enumerate(bars) if bar.paper is not None]
    places = [place - (0.2 if paper else 0) for place, _ in here]
    axes.bar(places, kept(outcomes), 0.38, yerr=errors(outcomes), capsize=4, label="here")
    if paper:
        axes.bar(*zip(*paper, strict=True), 0.38, color="#d3d8de", edgecolor="#616e7c", label="paper")
    axes.axhline(100, color=DENSE, linewidth=1, linestyle=":")
    axes.set_xticks(range(len(bars)), [bar.label for bar in bars])
    axes.legend(fontsize=8)


def kept(outcomes: Sequence[Outcome]) -> list[float]:
    """In % of dense."""
    return [100 * each.ratio for each in outcomes]


def errors(outcomes: Sequence[Outcome]) -> list[list[float]]:
    """Below and above; 0 where a single seed has no interval."""
    bounds = [each.interval or (each.ratio, each.ratio) for each in outcomes]
    below = [100 * (each.ratio - low) for each, (low, _) in zip(outcomes, bounds, strict=True)]
    above = [100 * (high - each.ratio) for each, (_, high) in zip(outcomes, bounds, strict=True)]
    return [below, above]


DRAWINGS: dict[str, tuple[str, Callable[[Record], plt.Figure | None]]] = {
    "curves": ("Learning curves and scores", draw_curves),
    "sparsity": ("Return against sparsity (figure 5)", draw_sparsity),
    "ablations": ("Ablations of rlx2 (table 3)", draw_ablations),
    "replay": ("Replay size and policy distance (figure 4)", draw_replay),
}


if __name__ == "__main__":
    main()
