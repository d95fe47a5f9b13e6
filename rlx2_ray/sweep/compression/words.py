"""What a compression says on the screen: its cost before it begins, and what it finds as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rlx2_ray.runs.scores import DEPLOYED, FINAL, OTHER

if TYPE_CHECKING:  # `rlx2 --help` comes by here
    from rlx2_ray.report.record.record import DenseArm, RatioByOther, SizedDecision
    from rlx2_ray.runs.scores import ScoreName
    from rlx2_ray.search.belief import Belief

SCORE_NAMES: dict[str, str] = {FINAL: "score", DEPLOYED: "deployed score"}
CREDIBLE = 0.8  # mass of the sparsities named
PAST = {"accept": "accepted", "reject": "rejected", "inconclusive": "inconclusive"}


class Cost(NamedTuple):
    """Of what is still to be done."""

    runs: int  # expected
    most_runs: int
    steps: int  # of a run
    dense_s: float  # of a dense run
    sparse_s: float
    dense_runs: int  # of `runs`
    at_a_time: int

    @property
    def env_steps(self) -> int:
        return self.runs * self.steps

    @property
    def seconds(self) -> float:
        dense = min(self.dense_runs, self.runs)
        return (dense * self.dense_s + (self.runs - dense) * self.sparse_s) / self.at_a_time


def cost_sentence(cost: Cost, cached: int, archived: int = 0) -> str:
    """`cached`: dense runs that are not done again; `archived`: those among them that an archive has."""
    origin = " or the archive" if archived else ""
    known = f"; {count(cached, 'dense run')} known from an earlier compression{origin}" if cached else ""
    return (
        f"Expected: about {cost.runs} runs (at most {cost.most_runs}) of {cost.steps:,} env steps, {cost.at_a_time} at "
        f"a time, in about {duration(cost.seconds)} (dense run {duration(cost.dense_s)}, sparse run "
        f"{duration(cost.sparse_s)}){known}."
    )


def lacking_sentence(lacking: int) -> str:
    """`lacking`: known dense runs that do not have the score that decides."""
    verb, counts = ("has", "it does not count") if lacking == 1 else ("have", "they do not count")
    return f"{count(lacking, 'dense run')} known from before {verb} no deployed score, which decides here: {counts}."


def dense_sentence(dense: DenseArm, score: ScoreName) -> str:
    """`score`: that decides; the other one is stated beside it."""
    measured = f"dense {_measured(score, dense.statistic, dense.interval)}"
    other = OTHER[score]
    if dense.other is not None:
        also = _measured(other, dense.other.statistic, dense.other.interval)
    else:
        also = f"{other} score not known of {sum(seed.by(other) is None for seed in dense.seeds)} of them"
    cached = sum(seed.cached for seed in dense.seeds)
    seeds = f"{count(len(dense.seeds), 'seed')} ({cached} known from before)"
    return f"{measured}, {seeds}; {also}; random actions {dense.random:.1f}"


def _measured(score: ScoreName, statistic: float, interval: tuple[float, float] | None) -> str:
    width = f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else ""
    return f"{SCORE_NAMES[score]} {statistic:.1f}{width}"


def verdict_sentence(decision: SizedDecision, score: ScoreName) -> str:
    """`score`: that decides; the other one is stated beside it."""
    by = "all runs together" if decision.basis == "posterior" else "its fresh seeds alone"
    method = f"{decision.method}, " if decision.method else ""
    cost = f" ({decision.cost.words})" if decision.cost else ""
    return (
        f"{method}{network(decision.policy_sparsity, decision.critic_sparsity)}{cost}: {PAST[decision.verdict]}, keeps "
        f"{kept(decision.ratio, decision.interval)} of the dense return by {len(decision.scores)} seeds, "
        f"Pr {decision.probability:.2f} by {by}; {other_phrase(decision.other, score)}"
    )


def other_phrase(other: RatioByOther | None, score: ScoreName) -> str:
    """Says what the score says that does not decide; `score`: that does."""
    if other is None:
        return f"{OTHER[score]} score not known of all runs"
    return f"by the {other.score} score {kept(other.ratio, other.interval)}, Pr {other.probability:.2f}"


def network(policy_sparsity: float, critic_sparsity: float) -> str:
    return f"policy {policy_sparsity:.2%} / critics {critic_sparsity:.2%} sparse"


def kept(ratio: float, interval: tuple[float, float]) -> str:
    return f"{ratio:.1%} [{interval[0]:.1%}, {interval[1]:.1%}]"


def belief_phrase(belief: Belief, varied: str) -> str:
    """The median and where most of the mass is; `varied`: the network whose sparsities the levels are."""
    low, high = belief.credible_interval(CREDIBLE)
    return f"{varied} can be {belief.quantile(0.5):.1%} sparse [{low:.1%}, {high:.1%}]"


def best_phrase(ultimate: SizedDecision | None) -> str:
    if ultimate is None:
        return "none yet"
    less = f"{ultimate.cost.times:.1f}x less" if ultimate.cost else f"{ultimate.compression:.1f}x smaller"
    method = f"{ultimate.method}, " if ultimate.method else ""
    return f"{method}{less}, {PAST[ultimate.verdict]}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """In the unit that fits."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} hours"
