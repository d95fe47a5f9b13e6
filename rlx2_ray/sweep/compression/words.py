"""What a compression says on the screen: its cost before it begins, and what it finds as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # `rlx2 --help` comes by here
    from rlx2_ray.report.record.record import DenseArm, SizedDecision
    from rlx2_ray.search.belief import Belief
    from rlx2_ray.search.decision import Decision

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


def cost_sentence(cost: Cost, cached: int) -> str:
    """`cached`: dense runs of earlier compressions that are not done again."""
    known = f"; {count(cached, 'dense run')} known from an earlier compression" if cached else ""
    return (
        f"Expected: about {cost.runs} runs (at most {cost.most_runs}) of {cost.steps:,} env steps, {cost.at_a_time} at "
        f"a time, in about {duration(cost.seconds)} (dense run {duration(cost.dense_s)}, sparse run "
        f"{duration(cost.sparse_s)}){known}."
    )


def dense_sentence(dense: DenseArm) -> str:
    width = f" [{dense.interval[0]:.1f}, {dense.interval[1]:.1f}]" if dense.interval else ""
    measured = f"dense score {dense.statistic:.1f}{width}, {count(len(dense.seeds), 'seed')}"
    cached = sum(seed.cached for seed in dense.seeds)
    return f"{measured} ({cached} known from before); random actions {dense.random:.1f}"


def verdict_sentence(decision: Decision) -> str:
    return (
        f"{network(decision.policy_sparsity, decision.critic_sparsity)}: {PAST[decision.verdict]}, keeps "
        f"{kept(decision.ratio, decision.interval)} of the dense return, Pr {decision.probability:.2f}, "
        f"{len(decision.scores)} seeds"
    )


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
    return f"{ultimate.compression:.1f}x smaller, {PAST[ultimate.verdict]}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """In the unit that fits."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} hours"
