"""An archive's answer, task by task: the smallest network that keeps the dense return, how sure, and what to do.

It is by the score at the end of training, with what the deployed one says beside it.
"""

from __future__ import annotations

from rlx2_ray.report.analysis.arms import dense_arm
from rlx2_ray.report.analysis.outcomes import Outcome, other_outcomes, outcomes, probability_words
from rlx2_ray.report.page.answer import more_seeds, other_words, ratio_words
from rlx2_ray.report.record.record import Record
from rlx2_ray.search.decision import Rule, Verdict, verdict_of


def verdict(record: Record, outcome: Outcome) -> Verdict:
    """By its own seeds and dense's alone, with the bounds of the compression search; none by too few of either."""
    dense = dense_arm(record, outcome.by)
    seeds = min(outcome.seeds, len(dense.seeds) if dense else 0)
    return verdict_of(outcome.probability or 0.0, seeds, Rule())


def task_answer(record: Record) -> str | None:
    """Returns it in one or two sentences; None where no network can be compared with dense."""
    found = [each for each in outcomes(record) if each.probability is not None and each.size_ratio]
    if not found:
        return None
    accepted = [each for each in found if verdict(record, each) == "accept"]
    if accepted:
        best = min(accepted, key=_size)
        return f"{record.name}: the smallest network found to keep the return is {_words(record, best)}."
    likely = [each for each in found if (each.probability or 0) >= 0.5 and verdict(record, each) != "reject"]
    if likely:
        best = min(likely, key=_size)
        lead = "no network is sure to keep the return yet. The best candidate is"
        return f"{record.name}: {lead} {_words(record, best)}.{_surer(record, best)}"
    best = max(found, key=lambda each: each.probability or 0)
    open_ = verdict(record, best) == "inconclusive"
    lead = f"no network is {'sure' if open_ else 'found'} to keep the return. The likeliest is"
    return f"{record.name}: {lead} {_words(record, best)}.{_surer(record, best) if open_ else ''}"


def _size(outcome: Outcome) -> float:
    return outcome.size_ratio or 1.0


def _words(record: Record, outcome: Outcome) -> str:
    dense = dense_arm(record)
    fewer = f"{1 / _size(outcome):.3g} times smaller than dense ({outcome.label})"
    return (
        f"{fewer}: it keeps {ratio_words(outcome.ratio, outcome.interval)} of what dense gains over random actions, "
        f"at least 97 % with probability {probability_words(outcome.probability or 0)}, by {outcome.seeds} seeds "
        f"against {len(dense.seeds) if dense else 0} dense ones. {_deployed_words(record, outcome)}"
    )


def _deployed_words(record: Record, outcome: Outcome) -> str:
    """With how many seeds that is, which runs of earlier versions do not count among."""
    found = other_outcomes(record).get(outcome.label)
    if found is None:
        return other_words(record.score, None)
    dense = dense_arm(record, found.by)
    of_dense = len(dense.seeds) if dense else 0
    return f"{other_words(record.score, found)} ({found.seeds} seeds against {of_dense} that have one)"


def _surer(record: Record, outcome: Outcome) -> str:
    dense = dense_arm(record)
    wanted = outcome.seeds * more_seeds(outcome.ratio, outcome.interval, record.threshold)
    of_dense = max(wanted, len(dense.seeds) if dense else 0)
    return f" To be surer: {wanted} seeds of it, and {of_dense} of dense."
