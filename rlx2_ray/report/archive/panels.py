"""The figures that a task of an archive is shown with, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import plotly.graph_objects as go

from rlx2_ray.report.analysis.arms import dense_arm
from rlx2_ray.report.analysis.outcomes import Outcome
from rlx2_ray.report.archive.ablations import ablation_bars, window_bars
from rlx2_ray.report.archive.comparison import main_record, outcome_of, plain_arms, varied_sparsities
from rlx2_ray.report.archive.reach import reach_of
from rlx2_ray.report.figures.bars import Bar, return_bars
from rlx2_ray.report.figures.curves import learning_curves
from rlx2_ray.report.figures.held import held_figure
from rlx2_ray.report.figures.panels import Panel
from rlx2_ray.report.figures.replay import replay_over_time
from rlx2_ray.report.figures.scores import trial_scores
from rlx2_ray.report.figures.sparsity import return_against_sparsity
from rlx2_ray.report.figures.theme import BAND, BLUE, INK, make_figure
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.scores import DEPLOYED, FINAL, ScoreName

CLAIMED = (40, 50)  # % of the env steps after which ds is said to reach dense


def dynamic_record(record: Record) -> Record:
    """Returns the record of the plain arms whose replay changes its capacity."""
    kept = [trial for trial in main_record(record).trials if trial.config.replay.capacity_rule != "fixed"]
    return replace(record, trials=tuple(kept))


def sparsity_figure(record: Record) -> go.Figure:
    return return_against_sparsity(_sparsity_lines(record, FINAL), _sparsity_lines(record, DEPLOYED))


def _sparsity_lines(record: Record, name: ScoreName) -> dict[str, list[Outcome]]:
    return {
        method: [found for arm in arms if (found := outcome_of(record, arm, name)) is not None]
        for method, arms in varied_sparsities(record).items()
    }


def reach_figure(record: Record) -> go.Figure:
    """Draws the % of the env steps after which each plain arm is where dense ends; no bar where it never is."""
    dense = dense_arm(record)
    level = dense.statistic if dense else float("inf")
    found = {method: reach_of(arm, level) for method, arm in plain_arms(record).items()}
    figure = make_figure()
    bar = go.Bar(
        x=list(found),
        y=[None if reach.fraction is None else 100 * reach.fraction for reach in found.values()],
        marker_color=BLUE,
        text=[f"{reach.reached} of {reach.seeds}" for reach in found.values()],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x}: %{y:.0f} % of the env steps<extra></extra>",
    )
    figure.add_trace(bar)
    figure.add_hrect(*CLAIMED, fillcolor=BAND, line_width=0, layer="below", annotation_text="claimed of ds",
                     annotation_font_color=INK)  # fmt: skip
    figure.update_xaxes(type="category", showgrid=False, title_text="method")
    return figure.update_yaxes(title_text="env steps (% of the run)", range=[0, 108])


def _has_reach(record: Record) -> bool:
    return dense_arm(record) is not None and "ds" in plain_arms(record)


def _has_replay(record: Record) -> bool:
    return any("replay/policy_distance" in trial.series for trial in dynamic_record(record).trials)


def _has_any(bars: Sequence[Bar]) -> bool:
    return any(bar.outcome is not None for bar in bars)


def _has_switches(record: Record) -> bool:
    return _has_any(ablation_bars(record))


def _has_sparsities(record: Record) -> bool:
    return dense_arm(record) is not None and bool(varied_sparsities(record))


TASK_PANELS: dict[str, Panel] = {
    "curves": Panel(
        "Learning curves",
        "Mean and 95 % bootstrap interval over seeds; of one that was stopped the last value stays. Grey: "
        "final score of dense ± 3 %.",
        lambda record: learning_curves(main_record(record)),
    ),
    "scores": Panel(
        "Scores of all seeds",
        "Score: mean of the last evaluations. Bar: interquartile mean. Triangle: stopped early. Diamond: the "
        "deployed score. Grey: dense ± 3 %.",
        lambda record: trial_scores(main_record(record)),
    ),
    "sparsity": Panel(
        "Return against sparsity (figure 5)",
        "Gain over random actions (interquartile mean) in % of dense's, with a 95 % interval; dashed: by the deployed "
        "score. The critics' sparsity rises with the policy's.",
        sparsity_figure,
        _has_sparsities,
    ),
    "windows": Panel(
        "Length of the target's window (table 3)",
        "rlx2 with other lengths, its gain over random actions in % of dense's, with a 95 % interval. Grey: the paper.",
        lambda record: return_bars(window_bars(record), "steps of the window"),
        lambda record: _has_any(window_bars(record)),
    ),
    "ablations": Panel(
        "Ablations of rlx2",
        "Gain over random actions in % of dense's, with a 95 % interval.",
        lambda record: return_bars(ablation_bars(record), "what is changed"),
        _has_switches,
    ),
    "held": Panel(
        "What is held to the end",
        "Both scores (interquartile mean), how far the end lies below the best mean of as many evaluations in a row, "
        "and the standard deviation over seeds in parts of their mean, each with a 95 % interval over seeds.",
        held_figure,
        _has_switches,
    ),
    "reach": Panel(
        "How soon dense's score is reached",
        "The first evaluation at which the mean of the latest ten is there, median over seeds; above: the seeds that "
        "got there. No bar: less than half did.",
        reach_figure,
        _has_reach,
    ),
    "replay": Panel(
        "Replay: size and policy distance (figure 4)",
        "Of the methods whose buffer shrinks while its oldest experience is too far from the policy (in squares of the "
        "action bounds). Mean and 95 % interval over seeds.",
        lambda record: replay_over_time(dynamic_record(record)),
        _has_replay,
    ),
}
