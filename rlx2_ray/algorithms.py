"""What makes each algorithm that algorithm. Its learners are named in `agents/engines.py`."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Passes(NamedTuple):
    """How often an update goes through the weights of a network, forwards or backwards."""

    every_update: float
    policy_update: float  # besides, where the policy is updated too

    def mean(self, policy_delay: int) -> float:
        """The mean over updates of which every `policy_delay`-th updates the policy."""
        return self.every_update + self.policy_update / policy_delay


class Algorithm(NamedTuple):
    is_stochastic: bool  # whether the policy gives mean and log_std of a Gaussian, and not the action itself
    needs_every_step: bool  # whether a target looks at every next observation of a window, not at the last alone
    initial_weights: Literal["uniform", "orthogonal"]
    policy_delay: int  # unless configured
    dynamic_capacity: tuple[int, int]  # least and greatest of the replay under a dynamic rule, unless configured
    policy_passes: Passes
    critic_passes: Passes  # of ONE critic
    paper_critics: int  # critics that the paper's size counts
    paper_flops_factor: float  # of the paper's training FLOPs, at every sparsity

    @property
    def outputs_per_action(self) -> int:
        """Outputs of the policy's network for each dimension of the action."""
        return 2 if self.is_stochastic else 1


ALGORITHMS = {
    "td3": Algorithm(  # Fujimoto et al. 2018 (arXiv 1802.09477)
        is_stochastic=False,
        needs_every_step=False,
        initial_weights="uniform",
        policy_delay=2,
        dynamic_capacity=(100_000, 1_000_000),
        policy_passes=Passes(1, 3),
        critic_passes=Passes(8, 2),
        paper_critics=2,
        paper_flops_factor=1,
    ),
    "sac": Algorithm(  # Haarnoja et al. 2018 (arXiv 1812.05905)
        is_stochastic=True,
        needs_every_step=True,
        initial_weights="orthogonal",
        policy_delay=1,
        dynamic_capacity=(200_000, 3_000_000),
        policy_passes=Passes(4, 0),
        critic_passes=Passes(12, 0),
        paper_critics=4,  # with the targets
        paper_flops_factor=1.128,  # a fit to the paper's table, not a derivation
    ),
}
