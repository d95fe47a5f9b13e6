"""A record in plain words: the numbers of its answer, what is believed so far, the protocol, how to repeat it."""

from __future__ import annotations

import time
from pathlib import Path

from rlx2_ray.report.analysis.arms import by_task, dense_arm, percent
from rlx2_ray.report.analysis.outcomes import no_reference
from rlx2_ray.report.page.answer import task_of
from rlx2_ray.report.record.record import DenseArm, Record, SizedDecision
from rlx2_ray.runs.final_score import describe, describe_early
from rlx2_ray.runs.scores import DEPLOYED, OTHER, ScoreName
from rlx2_ray.search.belief import Belief
from rlx2_ray.search.decision import Basis

KINDS = {"compress": "Compression search", "sweep": "Sweep", "runs": "Runs", "task": "Runs of the task"}
AXES = {
    "tied": "policy and critic sparsity together",
    "policy": "policy sparsity",
    "critic": "critic sparsity",
    "both": "policy and critic sparsity, each alone",
}
DECIDED_BY: dict[ScoreName, str] = {
    "final": "the final score, of the last evaluations; the deployed one is stated beside it",
    "deployed": "the deployed score, of the best evaluation's policy played again; the final one is stated beside it",
}
CREDIBLE = 0.9  # mass of the sparsities named


def details(record: Record) -> list[str]:
    """Says what stands beneath the answer: the numbers of the verdict, dense, and what is believed."""
    lines = []
    if record.ultimate is not None:
        lines.append(_numbers(record.ultimate))
    parts = by_task(record)
    for part in parts:
        dense = dense_arm(part)
        if dense is not None:
            lines.append((f"{task_of(part)}. " if len(parts) > 1 else "") + _dense_words(part, dense))
        problem = no_reference(part)
        if problem is not None:
            lines.append(problem)
    if record.beliefs:
        lines.append(belief_words(record.beliefs[-1], record.axis))
    return [*lines, *record.messages]


def _dense_words(record: Record, dense: DenseArm) -> str:
    interval = " (95 % interval {:.5g} to {:.5g})".format(*dense.interval) if dense.interval else ""
    seeds = "1 seed" if len(dense.seeds) == 1 else f"{len(dense.seeds)} seeds"
    random = "" if dense.random is None else f"; uniformly random actions score {dense.random:.4g}"
    by = "by its deployed score " if record.score == DEPLOYED else ""
    return f"Dense: {by}{dense.statistic:.5g}{interval}, {seeds}; {_other_dense(record, dense)}{random}."


def _other_dense(record: Record, dense: DenseArm) -> str:
    """What it comes to by the score that does not decide, and of how many seeds that is."""
    name = OTHER[record.score]
    other = dense_arm(record, name)
    if other is None:
        lacking = sum(seed.by(name) is None for seed in dense.seeds)
        return f"by the {name} score not known, which {lacking} of them do not have"
    interval = " ({:.5g} to {:.5g})".format(*other.interval) if other.interval else ""
    few = "" if len(other.seeds) == len(dense.seeds) else f", of the {len(other.seeds)} that have it"
    return f"by the {name} score {other.statistic:.5g}{interval}{few}"


def _numbers(decision: SizedDecision) -> str:
    low, high = decision.interval
    return (
        f"Policy {percent(decision.policy_sparsity)} % and critics {percent(decision.critic_sparsity)} % zeros: "
        f"R = {decision.ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}, {decision.seeds} seeds"
        f"{_other_ratio(decision)}."
    )


def _other_ratio(decision: SizedDecision) -> str:
    other = decision.other
    if other is None:
        return ""
    low, high = other.interval
    return f"; by the {other.score} score R = {other.ratio:.3f}, {low:.3f} to {high:.3f}"


def belief_words(belief: Belief, axis: str) -> str:
    """Says the most probable threshold, and the sparsities that hold 90 % of the probability."""
    network = "critic" if axis == "critic" else "policy"
    probability, level = max(zip(belief.mass, belief.levels, strict=True), key=lambda each: each[0])
    low, high = map(percent, belief.credible_interval(CREDIBLE))
    span = f"{low} to {high}" if low != high else low
    return (
        f"Believed after {belief.runs} runs: the greatest {network} sparsity that keeps the return is "
        f"{percent(level)} % (probability {probability:.2f}); {percent(CREDIBLE)} % lies in {span} %."
    )


def protocol_of(record: Record) -> dict[str, str]:
    """Says what was measured and how, name -> words."""
    words = {"what": f"{KINDS.get(record.kind, record.kind)} {record.name!r}: {task_of(record)}"}
    configs = [trial.config for trial in record.trials]
    if record.kind == "compress":
        words["searched"] = AXES.get(record.axis, record.axis)
        words["rule"] = _rule(record)
        words["decided by"] = DECIDED_BY[record.score]
    if record.param_space:
        words["search space"] = "; ".join(f"{key}: {_domain(domain)}" for key, domain in record.param_space.items())
    if record.members:
        words["queue"] = ", ".join(record.members)
    if configs:
        words["methods"] = ", ".join(dict.fromkeys(config.method for config in configs))
        words["env steps a run"] = _range([config.steps for config in configs])
        evaluations = dict.fromkeys(
            f"{config.evaluation.episodes} noise-free episodes every {config.evaluation.interval:,} env steps"
            f"{describe_early(config.evaluation)}"
            for config in configs
        )
        scores = dict.fromkeys(describe(config.evaluation.score_window) for config in configs)
        words["score"] = f"{', or '.join(scores)}; {', or '.join(evaluations)}"
        words["networks"] = ", or ".join(
            dict.fromkeys(" x ".join(map(str, config.network.hidden)) for config in configs)
        )
        words["engine"] = ", ".join(dict.fromkeys(f"{config.engine}, {config.runtime.kind}" for config in configs))
    early = sum(trial.ended_early for trial in record.trials)
    if early:
        words["stopped early"] = f"{early} runs, as hopeless or by the scheduler; each counts with its score"
    known = ("axis", "threshold", "accept", "reject", "score", "statistic", "steps")
    words |= {name.replace("_", " "): str(value) for name, value in record.protocol.items() if name not in known}
    if record.started and record.updated:
        words["when"] = f"{_date(record.started)} to {_date(record.updated)}"
    return words


_BASES: dict[Basis, str] = {
    "posterior": "by all runs together; by its fresh seeds alone where these contradict that",
    "bootstrap": "two-arm stratified bootstrap",
}


def _rule(record: Record) -> str:
    protocol = record.protocol
    statistic = {"iqm": "interquartile mean", "mean": "mean"}.get(protocol.get("statistic", "iqm"), "statistic")
    basis: Basis = "posterior" if any(each.basis == "posterior" for each in record.decisions) else "bootstrap"
    return (
        f"R = (sparse - random) / (dense - random), each the {statistic} over seeds; accepted where the probability of "
        f"R ≥ {record.threshold:g} ({_BASES[basis]}) is at least {protocol.get('accept', 0.9)}, "
        f"rejected where it is at most {protocol.get('reject', 0.1)}, inconclusive otherwise"
    )


def _domain(domain: object) -> str:
    if isinstance(domain, dict) and len(domain) == 1:
        ((name, values),) = domain.items()
        return f"{name} of {', '.join(map(str, values))}" if isinstance(values, list) else f"{name} {values}"
    return str(domain)


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def command_of(record: Record) -> str:
    """Returns the command that repeats it."""
    folder = Path(record.source) if record.source else Path(record.name)
    if record.kind == "runs":
        return f"rlx2 train {folder / 'config.yaml'}" if len(record.trials) == 1 else "rlx2 train DIR/config.yaml"
    return f"rlx2 {record.kind} {folder / 'sweep.yaml'}"
