"""The answer: what a compression or a sweep found, how sure that is, and what to do to be surer.

It is the first sentence of the report's page and of the dashboard, and among the last lines of the command.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from rlx2_ray.report.analysis.arms import Arm, arms_of, by_task, dense_arm, percent
from rlx2_ray.report.analysis.outcomes import Outcome, outcomes, probability_words
from rlx2_ray.report.record.record import RatioByOther, Record, SizedDecision
from rlx2_ray.runs.scores import DEPLOYED, OTHER, ScoreName
from rlx2_ray.search.statistics import FEWEST_SEEDS, Interval, arm_interval, probability_above, statistic_of

KEEPS: dict[ScoreName, str] = {
    "final": "Trained to its end it keeps",
    "deployed": "Its deployed policy keeps",
}
CHEAPEST = {"weights": "smallest", "bytes": "smallest", "latency": "fastest"}  # by a compression's objective
SURER = (0.95, 0.99)  # probabilities to ask for, of a network that is accepted with less
MOST_FACTOR = 4  # times the seeds that there are, asked for at once
ENOUGH = 1.645  # standard errors between a ratio and the threshold that decide it


def task_of(record: Record) -> str:
    """Says such as "Hopper-v5 with TD3"; all of them where trials differ."""
    tasks = dict.fromkeys((trial.config.env.id, trial.config.algo.upper()) for trial in record.trials)
    return ", ".join(f"{env} with {algo}" for env, algo in tasks) or record.name


def answer(record: Record) -> str:
    """Returns it in words that a person would use."""
    if record.kind != "compress":
        return " ".join(map(_sweep_answer, by_task(record)))
    return f"{task_of(record)}: {_compression_answer(record)}"


def first_sentence(text: str) -> tuple[str, str]:
    """The sentence that a page says aloud, and the others, which explain it."""
    first, *others = re.split(r"(?<=\.) (?=[A-Z])", text, maxsplit=1)
    return first, " ".join(others)


# Compressions


def _compression_answer(record: Record) -> str:
    decision = record.ultimate or _smallest_accepted(record)
    if record.dense is None or not (record.decisions or record.beliefs or record.state != "running"):
        return _nothing_yet(record)
    if decision is None:
        return _none_found(record)
    so_far = " so far" if record.state == "running" else ""
    if decision.verdict == "accept":
        found = f"the {CHEAPEST[record.objective]} network found{so_far} to keep the return is {_network(decision)}"
    else:
        found = f"no network is sure to keep the return yet. The best candidate{so_far} is {_network(decision)}"
    return f"{found}. {_kept(record, decision)}{_surer(record, decision)}"


def _smallest_accepted(record: Record) -> SizedDecision | None:
    accepted = [each for each in record.decisions if each.verdict == "accept"]
    return min(accepted, key=lambda each: each.cost.value if each.cost else each.size_ratio, default=None)


def _nothing_yet(record: Record) -> str:
    if record.state == "running" or record.dense is not None:
        return "nothing is known yet, the dense arm is being measured."
    return "nothing is known: the dense arm was not measured to its end." + _go_on(record)


def _none_found(record: Record) -> str:
    wanted = f"{percent(record.threshold)} % of the dense agents' return"
    count = len(record.decisions)
    if record.state == "running":
        return f"no network is known yet to keep {wanted}, after {record.runs or 0} runs."
    if not count:
        return f"no network was tried enough to say whether it would keep {wanted}.{_go_on(record)}"
    likeliest = max(record.decisions, key=lambda each: each.probability)
    undecided = sum(each.verdict == "inconclusive" for each in record.decisions)
    left = f", {undecided} undecided" if undecided else ""
    networks = "the one network that was tried is not" if count == 1 else f"none of the {count} networks tried is"
    return (
        f"{networks} known to keep {wanted}{left}. The likeliest is {_network(likeliest)}. {_kept(record, likeliest)}"
        + (_surer(record, likeliest) if undecided else _denser(record))
    )


def _network(decision: SizedDecision) -> str:
    pair = decision.policy_sparsity, decision.critic_sparsity
    policy, critic = map(percent, pair)
    method = f"{decision.method}; " if decision.method else ""
    small = decision.cost.words if decision.cost else f"{decision.compression:.3g} times smaller than dense"
    return f"{small} ({method}policy {policy} %, critics {critic} % sparse)"


def _kept(record: Record, decision: SizedDecision) -> str:
    dense = len(record.dense.seeds) if record.dense else 0
    kept = f"{KEEPS[record.score]} {ratio_words(decision.ratio, decision.interval)} of the dense agents' return"
    sure = f"at least {percent(record.threshold)} % with probability {probability_words(decision.probability)}"
    against = f"{decision.seeds} seeds against {dense} dense ones"
    by = {
        "bootstrap": f"{kept}, {sure}, by {against}",
        "posterior": f"{kept} by its own {against}, and {sure} by all {record.runs} runs together",
    }
    contradicted = ""
    if decision.basis == "bootstrap" and decision.surprise is not None:
        contradicted = " These fresh seeds alone decide: all other runs together had promised more of it."
    open_ = _why_open(record, decision)
    return f"{by[decision.basis]}.{contradicted}{open_} {other_words(record.score, decision.other)}."


def _why_open(record: Record, decision: SizedDecision) -> str:
    """Says why it is inconclusive where its probability alone would decide."""
    accept, reject = (record.protocol.get(key, default) for key, default in (("accept", 0.9), ("reject", 0.1)))
    if decision.verdict != "inconclusive" or reject < decision.probability < accept:
        return ""
    fresh = decision.seeds if decision.fresh is None else decision.fresh
    few = (
        "1 seed that had no part in choosing it is"
        if fresh == 1
        else f"{fresh} seeds that had no part in choosing it are"
    )
    return f" It is inconclusive for all that: {few} too few to tell."


def ratio_words(ratio: float, interval: Interval | None) -> str:
    """Returns such as "101.2 % [97.0 %, 104.9 %]"."""
    span = " [{:.1f} %, {:.1f} %]".format(*(100 * bound for bound in interval)) if interval else ""
    return f"{100 * ratio:.1f} %{span}"


def other_words(score: ScoreName, other: RatioByOther | Outcome | None) -> str:
    """Says what the score says that does not decide; `score`: that does."""
    if other is None:
        return f"By the {OTHER[score]} score it is not known, since runs that this takes have none"
    sure = "" if other.probability is None else f", probability {probability_words(other.probability)}"
    return f"By the {OTHER[score]} score it keeps {ratio_words(other.ratio, other.interval)}{sure}"


def _surer(record: Record, decision: SizedDecision) -> str:
    """The command that brings more seeds; nothing while it works, or where they would not tell anything new."""
    if record.state == "running":
        return ""
    if record.state != "finished":
        return _go_on(record)
    changes = _higher_bar(decision)
    if changes is None:
        return ""
    known = sum(seed.cached for seed in record.dense.seeds) if record.dense else 0
    dense = len(record.dense.seeds) if record.dense else 0
    done = (record.runs or 0) - known
    if decision.basis == "posterior":  # all runs tell of it; which come next is the search's to say
        runs, keys = 2 * done, {"compress.max_dense_seeds": 2 * dense, **changes}
    else:
        sparse = decision.seeds * more_seeds(decision.ratio, decision.interval, record.threshold)
        wanted = max(2 * sparse, dense)
        runs = done + sparse - decision.seeds + wanted - dense
        keys = {"compress.max_seeds": sparse, "compress.max_dense_seeds": wanted, **changes}
    options = " ".join(f"--set {key}={value}" for key, value in keys.items())
    return f" To be surer: 'rlx2 resume {folder_of(record)} --max-runs {runs} {options}'."


def _higher_bar(decision: SizedDecision) -> dict[str, float] | None:
    """An accepted network gets no more seeds unless more is asked of it. None: it is as sure as can be asked."""
    if decision.verdict != "accept":
        return {}
    bar = next((each for each in SURER if each > decision.probability), None)
    return None if bar is None else {"compress.accept": bar}


def more_seeds(ratio: float, interval: Interval | None, threshold: float) -> int:
    """Returns the times as many seeds that are likely to tell the ratio from the threshold, 2 to MOST_FACTOR.

    The width of an interval falls with the root of the seeds.
    """
    if interval is None:
        return MOST_FACTOR
    error = (interval[1] - interval[0]) / (2 * 1.96)
    distance = abs(ratio - threshold)
    factor = (ENOUGH * error / distance) ** 2 if distance > 0 else math.inf
    return min(max(2, math.ceil(min(factor, MOST_FACTOR))), MOST_FACTOR)


def _denser(record: Record) -> str:
    """What to try where all that was tried is rejected: more runs, or networks that were not in question."""
    folder, least = folder_of(record), float(record.protocol.get("min_sparsity", 0.5))
    if record.state != "finished":
        return _go_on(record)
    if min(min(each.policy_sparsity, each.critic_sparsity) for each in record.decisions) > least:
        return f" To try denser ones: 'rlx2 resume {folder} --max-runs {2 * (record.runs or 0)}'."
    options = f"--set compress.min_sparsity={least / 2:.2g} --out {folder}-denser"
    return f" To try denser ones: 'rlx2 compress {folder}/sweep.yaml {options}'."


def _go_on(record: Record) -> str:
    return f" 'rlx2 resume {folder_of(record)}' goes on." if record.state == "interrupted" else ""


def folder_of(record: Record) -> str:
    """Returns its directory; its name where it was read from MLflow, which does not know that."""
    return record.source if record.source and Path(record.source).is_dir() else record.name


# Sweeps, and runs


def _sweep_answer(record: Record) -> str:
    """Of one task: the arm with the best interquartile mean, beside the next."""
    name, task = record.score, task_of(record)
    arms = [arm for arm in arms_of(record) if arm.by(name)]
    if not arms:
        return f"{task}: no run has a score yet."
    best, *others = _ranked(record, arms, name)
    if not others:
        return f"{task}: {score_words(best, name)}; {_by_other(record, [best])}."
    sure = _lead(record, best, others[0], name)
    return (
        f"{task}: the best of {len(arms)} arms is {best.label}, with {score_words(best, name)}, {sure}"
        f"{_against_dense(record, best)}; {_by_other(record, arms)}.{_more_trials(record, best, others[0])}"
    )


def _ranked(record: Record, arms: list[Arm], name: ScoreName) -> list[Arm]:
    return sorted(arms, key=lambda arm: statistic_of(arm.by(name)), reverse=record.mode == "max")


def score_words(arm: Arm, name: ScoreName) -> str:
    """Returns such as "score 2890 [2700, 3010] (interquartile mean of 2 seeds)"."""
    scores = arm.by(name)
    what = "deployed score" if name == DEPLOYED else "score"
    if len(scores) < FEWEST_SEEDS:
        return f"{what} {scores[0]:.5g} (one seed)"
    low, high = arm_interval(scores)
    return f"{what} {statistic_of(scores):.5g} [{low:.5g}, {high:.5g}] (interquartile mean of {len(scores)} seeds)"


def _lead(record: Record, best: Arm, second: Arm, name: ScoreName) -> str:
    """By how much it is ahead, and how sure that is."""
    ones, others = best.by(name), second.by(name)
    ahead = abs(statistic_of(ones) - statistic_of(others))
    if not ahead:
        return f"which the next, {second.label}, has too"
    beside = f"{ahead:.4g} {'above' if record.mode == 'max' else 'below'} the next, {second.label}"
    if min(len(ones), len(others)) < FEWEST_SEEDS:
        return f"{beside}, which a single seed does not make sure"
    probability = probability_above(ones, others) if record.mode == "max" else probability_above(others, ones)
    return f"{beside}, and better with probability {probability_words(probability)}"


def _against_dense(record: Record, best: Arm) -> str:
    found = next((each for each in outcomes(record) if each.label == best.label), None)
    dense = dense_arm(record)
    if found is None or dense is None:
        return ""
    return f"; it keeps {ratio_words(found.ratio, found.interval)} of dense ({len(dense.seeds)} seeds)"


def _by_other(record: Record, arms: list[Arm]) -> str:
    """What is best by the other score, where all these arms have it whole."""
    name = OTHER[record.score]
    if any(len(arm.by(name)) < len(arm.by(record.score)) for arm in arms):
        return f"the {name} score is not known of all runs"
    best = _ranked(record, arms, name)[0]
    who = f"{best.label} is the best with " if len(arms) > 1 else ""
    return f"by the {name} score {who}{score_words(best, name).removeprefix('deployed ').removeprefix('score ')}"


def _more_trials(record: Record, best: Arm, second: Arm) -> str:
    seeds = max(len(best.trials), len(second.trials))
    tune = record.config.get("tune")
    if record.state != "finished" or record.kind != "sweep":
        return _go_on(record)
    if isinstance(tune, dict) and tune.get("seeds"):
        folder = folder_of(record)
        options = f"--set tune.seeds={2 * seeds} --out {folder}-more"
        return f" To be surer: 'rlx2 sweep {folder}/sweep.yaml {options}', twice as many seeds."
    return f" To be surer: {2 * seeds} seeds of both."
