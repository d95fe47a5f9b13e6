"""An archive in plain words: where rlx2 holds, how the methods come in order, and what they cost in time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from rlx2_ray.report.analysis.arms import dense_arm, sparsities
from rlx2_ray.report.analysis.outcomes import Outcome, probability_words
from rlx2_ray.report.analysis.progress import duration
from rlx2_ray.report.archive.answer import task_answer, verdict
from rlx2_ray.report.archive.comparison import missing_methods, outcome_of, paper_of, plain_arms
from rlx2_ray.report.archive.paper import DS_CLAIM
from rlx2_ray.report.archive.reach import reach_of
from rlx2_ray.report.archive.tables import median_of, reach_words
from rlx2_ray.report.page.answer import ratio_words
from rlx2_ray.report.page.summary import details
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.scores import DEPLOYED
from rlx2_ray.search.statistics import FEWEST_SEEDS, arm_interval, probability_above, statistic_of

VERDICTS = {"accept": "sure", "inconclusive": "open", "reject": "not so"}  # with as many seeds as a search asks for


def overview_words(records: Sequence[Record]) -> str:
    """Says the answer of every task, then what rlx2 came to over all of them."""
    return " ".join([*answers(records), rlx2_overview(records)])


def answers(records: Sequence[Record]) -> list[str]:
    """Returns those of the tasks that have one."""
    return [found for record in records if (found := task_answer(record))]


def rlx2_overview(records: Sequence[Record]) -> str:
    verdicts: dict[str, list[str]] = {words: [] for words in VERDICTS.values()}
    for record in records:
        outcome = outcome_of(record, plain_arms(record).get("rlx2"))
        if outcome is not None and outcome.probability is not None:
            verdicts[VERDICTS[verdict(record, outcome)]].append(record.name)
    runs = sum(len(record.trials) for record in records)
    counted = f"{_count(runs, 'run')} of {_count(len(records), 'task')}."
    parts = [f"{words} for {' and '.join(names)}" for words, names in verdicts.items() if names]
    if not parts:
        return f"{counted} No task has seeds enough of both rlx2 and dense to compare them."
    return f"{counted} That rlx2 keeps 97 % of dense is {'; '.join(parts)}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def task_words(record: Record) -> list[str]:
    """Says a sentence or two each of dense, rlx2, the order of the methods, ds, and what nobody has run."""
    lines = [*details(record), *_rlx2_words(record), *_order_words(record), *_ds_words(record)]
    missing = missing_methods(record)
    return [*lines, f"Not run: {', '.join(missing)}."] if missing else lines


def _rlx2_words(record: Record) -> list[str]:
    arm = plain_arms(record).get("rlx2")
    if arm is None or not arm.scores:
        return []
    who, outcome = f"rlx2 at {sparsities(arm.trials[0])} zeros", outcome_of(record, arm)
    if outcome is None:
        return [f"{who} scores {_score_words(arm.scores)}; there is no dense arm to compare it with."]
    paper = paper_of(record)
    theirs = f" The paper has {paper.returns['rlx2']:.1f} %." if paper else ""
    deployed = outcome_of(record, arm, DEPLOYED)
    also = f" By the deployed score {_ratio_words(record, deployed)}." if deployed else ""
    return [f"{_kept_words(record, who, outcome)}{also}{theirs}", *_time_words(record)]


def _score_words(scores: Sequence[float]) -> str:
    seeds = _count(len(scores), "seed")
    if len(scores) < FEWEST_SEEDS:
        return f"{statistic_of(scores):.5g} ({seeds})"
    low, high = arm_interval(scores)
    return f"{statistic_of(scores):.5g} (95 % interval {low:.5g} to {high:.5g}, {seeds})"


def _kept_words(record: Record, who: str, outcome: Outcome) -> str:
    kept = f"{100 * outcome.ratio:.1f} % of what dense gains over random actions"
    if outcome.probability is None or outcome.interval is None:
        return f"{who} keeps {kept}, but a single seed does not tell how sure that is."
    sure = {
        "accept": "That is at least 97 %",
        "inconclusive": "Whether that is at least 97 % is open",
        "reject": "That is not 97 %",
    }[verdict(record, outcome)]
    low, high = outcome.interval
    return (
        f"{who} keeps {kept} (95 % interval {100 * low:.1f} to {100 * high:.1f}, {_count(outcome.seeds, 'seed')}). "
        f"{sure}: P(R ≥ 0.97) is {probability_words(outcome.probability)}."
    )


def _ratio_words(record: Record, deployed: Outcome) -> str:
    dense = dense_arm(record, DEPLOYED)
    seeds = f"{deployed.seeds} and {len(dense.seeds) if dense else 0} seeds"
    return f"{ratio_words(deployed.ratio, deployed.interval)} ({seeds})"


def _time_words(record: Record) -> list[str]:
    """Of whole runs, evaluations included."""
    arms = plain_arms(record)
    times = {method: median_of(arms[method], "wall_s") for method in ("rlx2", "dense") if method in arms}
    sparse, dense = times.get("rlx2"), times.get("dense")
    if not sparse or not dense:
        return []
    return [
        f"An rlx2 run takes {duration(sparse)}, a dense one {duration(dense)} (medians of the time from start to end): "
        f"{dense / sparse:.1f} times as fast."
    ]


def _order_words(record: Record) -> list[str]:
    """Whether the methods that both have run come in the paper's order; and of pairs that do not, how sure that is."""
    paper = paper_of(record)
    arms = {method: arm.scores for method, arm in plain_arms(record).items() if arm.scores}
    common = [method for method in arms if paper is not None and method in paper.returns]
    if paper is None or len(common) < 2:
        return []
    ours = sorted(common, key=lambda method: -statistic_of(arms[method]))
    theirs = sorted(common, key=lambda method: -paper.returns[method])
    if ours == theirs:
        return [f"The methods come in the paper's order, by their scores: {', '.join(ours)}."]
    turned = [(better, worse) for better, worse in combinations(ours, 2) if theirs.index(better) > theirs.index(worse)]
    told = [
        f"{better} above {worse} {probability_words(probability_above(arms[better], arms[worse]))}"
        for better, worse in turned
        if min(len(arms[better]), len(arms[worse])) >= FEWEST_SEEDS
    ]
    how_sure = [f"How probable the turned pairs are: {', '.join(told)}."] if told else []
    order = f"differs: {', '.join(ours)} here, {', '.join(theirs)} in the paper."
    return [" ".join([f"The order of the methods, by their scores, {order}", *how_sure])]


def _ds_words(record: Record) -> list[str]:
    dense = dense_arm(record)
    if dense is None or "ds" not in plain_arms(record):
        return []
    methods = {method: each for method, each in plain_arms(record).items() if method in ("ds", "dense")}
    reached = {method: reach_of(each, dense.statistic) for method, each in methods.items()}
    words = ", ".join(f"{who} after {reach_words(reach)}" for who, reach in reached.items())
    return [f"Dense's score is reached by {words} of the env steps (seeds). {DS_CLAIM}."]
