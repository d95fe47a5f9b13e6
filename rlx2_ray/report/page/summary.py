"""A record in plain words: the verdict, what is believed so far, the protocol, how to repeat it."""

from __future__ import annotations

import time
from pathlib import Path

from rlx2_ray.report.analysis.arms import Arm, arms_of, by_task, dense_arm, percent
from rlx2_ray.report.analysis.outcomes import probability_words
from rlx2_ray.report.record.record import DenseArm, Record, SizedDecision
from rlx2_ray.search.belief import Belief
from rlx2_ray.search.statistics import statistic_of

KINDS = {"compress": "Compression search", "sweep": "Sweep", "runs": "Runs", "task": "Runs of the task"}
AXES = {
    "tied": "policy and critic sparsity together",
    "policy": "policy sparsity",
    "critic": "critic sparsity",
    "both": "policy and critic sparsity, each alone",
}
CREDIBLE = 0.9  # mass of the sparsities named


def task_of(record: Record) -> str:
    """Says such as "Hopper-v5 with TD3"; all of them where trials differ."""
    tasks = dict.fromkeys((trial.config.env.id, trial.config.algo.upper()) for trial in record.trials)
    return ", ".join(f"{env} with {algo}" for env, algo in tasks) or record.name


def headline(record: Record) -> str:
    """Says the outcome in one sentence."""
    if record.kind != "compress":
        return " ".join(map(_best_arm, by_task(record)))
    if record.ultimate is not None:
        return _ultimate(record, record.ultimate)
    accepted = [each for each in record.decisions if each.verdict == "accept"]
    if accepted:
        return "So far: " + _ultimate(record, min(accepted, key=lambda each: each.size_ratio))
    if record.dense is None:
        return f"{task_of(record)}: the dense arm is being measured."
    if record.state == "running":
        return f"{task_of(record)}: no network is accepted yet."
    kept = f"{percent(record.threshold)} %"
    return f"{task_of(record)}: no network that was tried is sure to keep {kept} of the dense return."


def _ultimate(record: Record, decision: SizedDecision) -> str:
    words = {"accept": "accepted", "reject": "rejected"}.get(decision.verdict, "inconclusive")
    kept, fewer = f"{percent(record.threshold)} %", f"{decision.compression:.3g}"
    return (
        f"{task_of(record)} keeps at least {kept} of the dense return with {fewer} times fewer weights: "
        f"{words}, with probability {probability_words(decision.probability)}."
    )


def _best_arm(record: Record) -> str:
    """Of a sweep: the arm with the best interquartile mean."""
    arms = [arm for arm in arms_of(record) if arm.scores]
    if not arms:
        return f"{task_of(record)}: no run has a score yet."
    if len(arms) == 1:
        return f"{task_of(record)}: score {_score_of(arms[0])}."
    best = (max if record.mode == "max" else min)(arms, key=lambda arm: statistic_of(arm.scores))
    return f"{task_of(record)}: the best of {len(arms)} arms is {best.label}, with score {_score_of(best)}."


def _score_of(arm: Arm) -> str:
    count = len(arm.scores)
    seeds = "one seed" if count == 1 else f"interquartile mean of {count} seeds"
    return f"{statistic_of(arm.scores):.5g} ({seeds})"


def details(record: Record) -> list[str]:
    """Says what stands beneath the headline: the numbers of the verdict, dense, and what is believed."""
    lines = []
    if record.ultimate is not None:
        lines.append(_numbers(record.ultimate))
    parts = by_task(record)
    for part in parts:
        dense = dense_arm(part)
        if dense is not None:
            lines.append((f"{task_of(part)}. " if len(parts) > 1 else "") + _dense_words(dense))
    if record.beliefs:
        lines.append(belief_words(record.beliefs[-1], record.axis))
    return [*lines, *record.messages]


def _dense_words(dense: DenseArm) -> str:
    interval = " (95 % interval {:.5g} to {:.5g})".format(*dense.interval) if dense.interval else ""
    seeds = "1 seed" if len(dense.seeds) == 1 else f"{len(dense.seeds)} seeds"
    random = "" if dense.random is None else f"; uniformly random actions score {dense.random:.4g}"
    return f"Dense: {dense.statistic:.5g}{interval}, {seeds}{random}."


def _numbers(decision: SizedDecision) -> str:
    low, high = decision.interval
    return (
        f"Policy {percent(decision.policy_sparsity)} % and critics {percent(decision.critic_sparsity)} % zeros: "
        f"R = {decision.ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}, {decision.seeds} seeds."
    )


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
    if record.param_space:
        words["search space"] = "; ".join(f"{key}: {_domain(domain)}" for key, domain in record.param_space.items())
    if record.members:
        words["queue"] = ", ".join(record.members)
    if configs:
        words["methods"] = ", ".join(dict.fromkeys(config.method for config in configs))
        words["env steps a run"] = _range([config.steps for config in configs])
        evaluations = dict.fromkeys(
            f"{config.evaluation.episodes} noise-free episodes every {config.evaluation.interval:,} env steps"
            for config in configs
        )
        words["score"] = f"mean of the last 30 evaluations; {', or '.join(evaluations)}"
        words["networks"] = ", or ".join(
            dict.fromkeys(" x ".join(map(str, config.network.hidden)) for config in configs)
        )
        words["engine"] = ", ".join(dict.fromkeys(f"{config.engine}, {config.runtime.kind}" for config in configs))
    early = sum(trial.ended_early for trial in record.trials)
    if early:
        words["stopped early"] = f"{early} runs, as hopeless or by the scheduler; each counts with its score"
    known = ("axis", "threshold", "accept", "reject", "statistic", "steps")
    words |= {name.replace("_", " "): str(value) for name, value in record.protocol.items() if name not in known}
    if record.started and record.updated:
        words["when"] = f"{_date(record.started)} to {_date(record.updated)}"
    return words


def _rule(record: Record) -> str:
    protocol = record.protocol
    statistic = {"iqm": "interquartile mean", "mean": "mean"}.get(protocol.get("statistic", "iqm"), "statistic")
    return (
        f"R = (sparse - random) / (dense - random), each the {statistic} over seeds; accepted where the probability of "
        f"R ≥ {record.threshold:g} (two-arm stratified bootstrap) is at least {protocol.get('accept', 0.9)}, "
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
