"""The tables of a report, as headings and rows of text: for HTML, Markdown and the terminal alike."""

from __future__ import annotations

from typing import NamedTuple

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.report.analysis.arms import arms_of, by_task, dense_arm, percent, ratio_of
from rlx2_ray.report.analysis.outcomes import VERDICT_WORDS, Outcome, outcomes, probability_words
from rlx2_ray.report.record.record import DenseArm, DenseSeed, Record
from rlx2_ray.report.record.trial import Trial

UNKNOWN = "-"


class Table(NamedTuple):
    """Headings and rows; the first `texts` columns hold words, the others numbers."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


COST_HEADINGS = ("size", "train FLOPs (paper)", "train FLOPs (counted)", "inference FLOPs")


def cost_table(record: Record) -> Table:
    """Is as RLx2's table 2: sparsities, size and FLOPs beside dense, and the return kept. Empty without a dense arm."""
    headings = ("alg", "env", "policy sparsity %", "critic sparsity %", *COST_HEADINGS, "% of dense", "95 % interval",
                f"P(R ≥ {record.threshold:g})", "seeds", "verdict" if record.kind == "compress" else "arm")  # fmt: skip
    rows = [row for part in by_task(record) for row in _cost_rows(part)]
    return Table(headings, tuple(rows), texts=2)


def _cost_rows(record: Record) -> list[tuple[str, ...]]:
    """Of one task."""
    dense = dense_arm(record)
    if dense is None or not record.trials:
        return []
    config = record.trials[0].config
    task = (config.algo.upper(), config.env.id)
    rows = [
        (*task, "0", "0", *_dense_costs(record), "100", _dense_interval(dense), UNKNOWN, str(len(dense.seeds)), "dense")
    ]
    return rows + [(*task, *_outcome_row(each, record.kind == "compress")) for each in outcomes(record)]


def _dense_costs(record: Record) -> tuple[str, ...]:
    """The paper's factor for SAC stands at every sparsity, dense included."""
    paper = ALGORITHMS[record.trials[0].config.algo].paper_flops_factor
    return "1", f"{paper:.4g}", "1", "1"


def _dense_interval(dense: DenseArm) -> str:
    if dense.interval is None:
        return UNKNOWN
    low, high = (100 * ratio_of(dense, bound) for bound in dense.interval)
    return f"{low:.1f} to {high:.1f}"


def _outcome_row(outcome: Outcome, is_verdict: bool) -> tuple[str, ...]:
    costs, interval = outcome.costs, outcome.interval
    flops = (
        (costs.train_flops_ratio_paper, costs.train_flops_ratio_counted, costs.inference_flops_ratio) if costs else ()
    )
    return (
        percent(outcome.policy_sparsity),
        percent(outcome.critic_sparsity),
        UNKNOWN if outcome.size_ratio is None else f"{outcome.size_ratio:.3f}",
        *([f"{ratio:.3f}" for ratio in flops] or [UNKNOWN] * 3),
        f"{100 * outcome.ratio:.1f}",
        UNKNOWN if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}",
        UNKNOWN if outcome.probability is None else probability_words(outcome.probability),
        str(outcome.seeds),
        VERDICT_WORDS[outcome.verdict] if is_verdict else outcome.label,
    )


def score_table(record: Record) -> Table:
    """Has every seed's score, an arm a row."""
    rows = []
    for arm in arms_of(record):
        if record.dense is None or not arm.is_dense:  # of a compression, some may have been measured by another
            trials = sorted(arm.trials, key=lambda trial: trial.seed)
            rows.append((arm.label, *_scores([_score(trial) for trial in trials])))
    if record.dense is not None:
        rows.append(("dense", *_scores([_dense_score(seed) for seed in record.dense.seeds])))
    return Table(("arm", "seeds", "scores (seed)"), tuple(rows))


def _dense_score(seed: DenseSeed) -> str:
    known = ", known from before" if seed.cached else ""
    return f"{seed.score:.5g} (seed {seed.seed}{known})"


def _scores(words: list[str]) -> tuple[str, str]:
    return str(len(words)), ", ".join(words)


def _score(trial: Trial) -> str:
    if trial.score is None:
        return f"{trial.state} (seed {trial.seed})"
    early = ", stopped early" if trial.ended_early else ""
    return f"{trial.score:.5g} (seed {trial.seed}{early})"


def version_table(record: Record) -> Table:
    return Table(("package", "version"), tuple(record.versions.items()), texts=2)
