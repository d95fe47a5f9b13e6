"""The tables of a report, as headings and rows of text: for HTML, Markdown and the terminal alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.report.analysis.arms import arms_of, by_task, dense_arm, percent, ratio_of
from rlx2_ray.report.analysis.outcomes import (
    VERDICT_WORDS,
    Outcome,
    no_reference,
    other_outcomes,
    outcomes,
    probability_words,
)
from rlx2_ray.report.record.record import DenseArm, DenseSeed, Record
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.runs.scores import OTHER

UNKNOWN = "-"
DEPLOYED_HEADING = "deployed scores (same order)"


class Table(NamedTuple):
    """Headings and rows; the first `texts` columns hold words, the others numbers."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


OBJECTIVES = {"bytes": "bytes as C", "latency": "µs an action"}
COST_HEADINGS = ("size", "train FLOPs (paper)", "train FLOPs (counted)", "inference FLOPs")


def cost_table(record: Record) -> Table:
    """Is as RLx2's table 2: sparsities, size and FLOPs beside dense, and the return kept. Empty without a dense arm."""
    headings = ("alg", "env", *_more_headings(record), "policy sparsity %", "critic sparsity %", *COST_HEADINGS,
                "% of dense", "95 % interval", f"P(R ≥ {record.threshold:g})", "seeds",
                f"% by the {OTHER[record.score]} score", "verdict" if record.kind == "compress" else "arm")  # fmt: skip
    rows = [row for part in by_task(record) for row in _cost_rows(part)]
    return Table(headings, tuple(rows), texts=2)


def _cost_rows(record: Record) -> list[tuple[str, ...]]:
    """Of one task."""
    dense = dense_arm(record)
    if dense is None or not record.trials or no_reference(record):
        return []
    config = record.trials[0].config
    task = (config.algo.upper(), config.env.id)
    other, others = dense_arm(record, OTHER[record.score]), other_outcomes(record)
    costs, seeds = _dense_costs(record), str(len(dense.seeds))
    also = UNKNOWN if other is None else _spanned("100", _dense_interval(other))
    found = outcomes(record)
    more = _more(record, "dense", next((each.cost.dense for each in found if each.cost), None))
    rows = [(*task, *more, "0", "0", *costs, "100", _dense_interval(dense), UNKNOWN, seeds, also, "dense")]
    is_verdict = record.kind == "compress"
    for each in found:
        more = _more(record, each.method, each.cost.value if each.cost else None)
        rows.append((*task, *more, *_outcome_row(each, others.get(each.label), is_verdict)))
    return rows


def _more_headings(record: Record) -> tuple[str, ...]:
    """Of a compression of several methods, or with an objective of its own."""
    unit = OBJECTIVES.get(record.objective)
    return (*["method"] * (len(record.methods) > 1), *([unit] if unit else []))


def _more(record: Record, method: str | None, cost: float | None) -> tuple[str, ...]:
    """The cells below these headings."""
    cells = {"method": method or UNKNOWN}
    value = UNKNOWN if cost is None else f"{cost:,.0f}" if record.objective == "bytes" else f"{cost:,.1f}"
    return tuple(cells.get(heading, value) for heading in _more_headings(record))


def _dense_costs(record: Record) -> tuple[str, ...]:
    """The paper's factor for SAC stands at every sparsity, dense included."""
    paper = ALGORITHMS[record.trials[0].config.algo].paper_flops_factor
    return "1", f"{paper:.4g}", "1", "1"


def _dense_interval(dense: DenseArm) -> str:
    if dense.interval is None:
        return UNKNOWN
    low, high = (100 * ratio_of(dense, bound) for bound in dense.interval)
    return f"{low:.1f} to {high:.1f}"


def _spanned(value: str, interval: str) -> str:
    return value if interval == UNKNOWN else f"{value} ({interval})"


def both_cell(outcome: Outcome | None) -> str:
    """Says in one cell what an arm keeps by a score, in % of dense: "101.2 (97.0 to 104.9), P .97"."""
    if outcome is None:
        return UNKNOWN
    kept = f"{100 * outcome.ratio:.1f}"
    if outcome.interval is None or outcome.probability is None:
        return kept
    low, high = (100 * bound for bound in outcome.interval)
    return f"{kept} ({low:.1f} to {high:.1f}), P {probability_words(outcome.probability)}"


def _outcome_row(outcome: Outcome, other: Outcome | None, is_verdict: bool) -> tuple[str, ...]:
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
        both_cell(other),
        VERDICT_WORDS[outcome.verdict] if is_verdict else outcome.label,
    )


def score_table(record: Record) -> Table:
    """Has every seed's two scores, an arm a row."""
    rows = []
    for arm in arms_of(record):
        if record.dense is None or not arm.is_dense:  # of a compression, some may have been measured by another
            trials = sorted(arm.trials, key=lambda trial: trial.seed)
            rows.append((arm.label, *_scores([_score(trial) for trial in trials]), _deployed(trials)))
    if record.dense is not None:
        seeds = record.dense.seeds
        rows.append(("dense", *_scores([_dense_score(seed) for seed in seeds]), _deployed(seeds)))
    return Table(("arm", "seeds", "scores (seed)", DEPLOYED_HEADING), tuple(rows))


def _deployed(runs: Sequence[Trial] | Sequence[DenseSeed]) -> str:
    return ", ".join(UNKNOWN if run.deployed is None else f"{run.deployed:.5g}" for run in runs)


def _dense_score(seed: DenseSeed) -> str:
    known = ", archived" if seed.file else ", known from before" if seed.cached else ""
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
