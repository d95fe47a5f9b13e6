"""Flow control between rollouts and learner: neither may run ahead of the asked number of updates per env step.

The idea is Reverb's SampleToInsertRatio (Cassirer et al. 2021, arXiv 2102.04736), counted in updates.
"""

from __future__ import annotations

from typing import NamedTuple

from rlx2_ray.config import ExperimentConfig, updates_due


class RateLimiter(NamedTuple):
    """Allows updates up to `updates_due(env steps done)`, and env steps that leave at most `tolerance` undone."""

    warmup_steps: int
    updates_per_env_step: float
    tolerance: float  # updates

    def updates_allowed(self, env_steps_done: int, learner_steps_begun: int) -> int:
        """The number of updates that the learner may begin now."""
        return max(0, self._due(env_steps_done) - learner_steps_begun)

    def may_collect(self, env_steps_begun: int, learner_steps_done: int) -> bool:
        """Whether a rollout may begin more env steps."""
        return self._due(env_steps_begun) - learner_steps_done <= self.tolerance

    def _due(self, env_steps: int) -> int:
        return updates_due(env_steps, self.warmup_steps, self.updates_per_env_step)


def make_rate_limiter(config: ExperimentConfig, env_steps_tolerance: int) -> RateLimiter:
    """The limiter of a run.

    `env_steps_tolerance`: env steps by which the rollouts may be ahead, at least what one call collects.
    """
    agent = config.agent
    return RateLimiter(agent.warmup_steps, agent.updates_per_env_step, env_steps_tolerance * agent.updates_per_env_step)
