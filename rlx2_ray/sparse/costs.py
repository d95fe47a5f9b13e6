"""Size and FLOPs of a sparse agent relative to the dense one. Weights only; an MLP's FLOPs go with its active weights,
and its size with the values that these are made of, which are as many unless weights share one.

A and Q are the weights of the policy and of ONE critic, a and c their densities. "paper" is the accounting of RLx2's
table 2 (arXiv 2205.15043), whose factor for SAC is applied at every sparsity; "counted" is the multiply-adds that this
software does in an update.
"""

from __future__ import annotations

from typing import NamedTuple

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.plan import CRITICS, AgentPlan, NetworkPlan
from rlx2_ray.topology_rules import facts_of


class Costs(NamedTuple):
    """Ratios to the dense arm (1-step target, same widths)."""

    size_ratio: float
    train_flops_ratio_paper: float
    train_flops_ratio_counted: float
    inference_flops_ratio: float

    @property
    def compression(self) -> float:
        return 1 / self.size_ratio


def relative_costs(config: ExperimentConfig, plan: AgentPlan) -> Costs:
    algorithm = ALGORITHMS[config.algo]
    policy, critic = plan.policy.weights, plan.critic.weights / CRITICS
    a = plan.policy.density
    sizes = plan.policy.size * policy, plan.critic.size * critic
    size = _ratio(*sizes, policy, critic, 1, algorithm.paper_critics)
    trained_a, trained_c = (_mean_density(config, network) for network in plan)
    paper = _ratio(trained_a * policy, trained_c * critic, policy, critic, 4, 12) * algorithm.paper_flops_factor
    return Costs(size, paper, _counted(config, policy, critic, trained_a, trained_c), inference_flops_ratio=a)


def _mean_density(config: ExperimentConfig, network: NetworkPlan) -> float:
    """The mean over a run's updates."""
    if network.trained is not None:
        return network.trained
    topology, planned, final = config.topology, max(config.planned_updates, 1), network.density
    if not facts_of(topology.rule).prunes:
        return final
    start, end = (min(moment / planned, 1.0) for moment in (topology.start_update, topology.end_update))
    return 1 - (1 - final) * (0.75 * (end - start) + 1 - end)  # 3/4: the mean of 1 - (1 - x)^3 over [0, 1]


def _counted(config: ExperimentConfig, policy: float, critic: float, a: float, c: float) -> float:
    """Multiply-adds of the whole run over those of the dense arm."""
    policy_passes, critic_passes = _passes(config)
    ratio = _ratio(a * policy, c * critic, policy, critic, policy_passes, critic_passes)
    if not ALGORITHMS[config.algo].needs_every_step:
        return ratio
    # The policy is evaluated at every step of the window, which there is one of in the dense arm.
    started = min(config.target.n_step_start / max(config.planned_updates, 1), 1)
    extra = (config.target.n_step - 1) * (1 - started) * a * policy
    return ratio + extra / (policy_passes * policy + critic_passes * critic)


def dense_multiply_adds(config: ExperimentConfig, plan: AgentPlan) -> float:
    """Returns the multiply-adds of the dense arm in an update, for one sample of the batch."""
    policy_passes, critic_passes = _passes(config)
    return policy_passes * plan.policy.weights + critic_passes * plan.critic.weights / CRITICS


def _passes(config: ExperimentConfig) -> tuple[float, float]:
    """How often an update goes through the weights of the policy, and through those of ONE critic."""
    algorithm, delay = ALGORITHMS[config.algo], config.agent.policy_delay
    return algorithm.policy_passes.mean(delay), algorithm.critic_passes.mean(delay)


def _ratio(sparse_a: float, sparse_q: float, dense_a: float, dense_q: float, times_a: float, times_q: float) -> float:
    return (times_a * sparse_a + times_q * sparse_q) / (times_a * dense_a + times_q * dense_q)
