"""The figures that a record is shown with, in order: the same ones in the report and on the dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import plotly.graph_objects as go

from rlx2_ray.report.analysis.outcomes import outcomes
from rlx2_ray.report.figures.curves import learning_curves
from rlx2_ray.report.figures.frontier import frontier, ratio_against_size
from rlx2_ray.report.figures.keys import parallel_coordinates, score_by_key
from rlx2_ray.report.figures.replay import replay_over_time
from rlx2_ray.report.figures.scores import trial_scores
from rlx2_ray.report.figures.threshold import threshold_belief
from rlx2_ray.report.figures.topology import topology
from rlx2_ray.report.record.record import Record


class Panel(NamedTuple):
    title: str
    caption: str
    draw: Callable[[Record], go.Figure]
    is_wanted: Callable[[Record], bool] = lambda record: True


def has_keys(record: Record) -> bool:
    return record.kind != "compress" and any(trial.changes for trial in record.trials)


PANELS: dict[str, Panel] = {
    "ratio": Panel(
        "Return kept against size",
        "R = (sparse - random) / (dense - random), with a 95 % interval. "
        "Grey diamonds: the same runs by the score that does not decide.",
        ratio_against_size,
        lambda record: record.kind == "compress" or bool(outcomes(record)),
    ),
    "frontier": Panel(
        "Policy sparsity x critic sparsity",
        "Colour and number: R. Shape: the verdict. Axes are logarithmic in density.",
        frontier,
        lambda record: record.kind == "compress" or bool(outcomes(record)),
    ),
    "keys": Panel(
        "Score by swept key",
        "A point a trial; the line joins interquartile means. Grey: dense ± 3 %.",
        score_by_key,
        has_keys,
    ),
    "parallel": Panel("All keys together", "A line a trial, coloured by its score.", parallel_coordinates, has_keys),
    "scores": Panel(
        "Scores of all seeds",
        "Score: mean of the last evaluations. Filled: finished. Open: unfinished, its last 5 evaluations. "
        "Triangle: stopped early. Bar: interquartile mean. Diamond: the deployed score. Grey: dense ± 3 %.",
        trial_scores,
    ),
    "curves": Panel(
        "Learning curves",
        "Mean and 95 % bootstrap interval over seeds; of one that was stopped the last value stays. Grey: "
        "final score of dense ± 3 %.",
        learning_curves,
    ),
    "threshold": Panel(
        "Where the threshold lies",
        "Probability of each sparsity to be the greatest that keeps the return: now (above), run by run (below).",
        threshold_belief,
        lambda record: record.kind == "compress" and (record.axis != "both" or bool(record.beliefs)),
    ),
    "replay": Panel(
        "Replay: size and policy distance",
        "The buffer shrinks while its oldest experience is too far from the policy (in squares of the action bounds). "
        "Mean and 95 % interval over seeds.",
        replay_over_time,
    ),
    "topology": Panel(
        "Layers",
        "Of one trial: the weights of each layer that live (above), and how many the latest event kept (below).",
        topology,
        lambda record: any(not trial.config.is_dense for trial in record.trials) or not record.trials,
    ),
}
