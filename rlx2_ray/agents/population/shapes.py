"""What members of a population have in common: whatever decides the shape of a tensor. All else may differ."""

from __future__ import annotations

from typing import NamedTuple

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.densities import Shape
from rlx2_ray.sparse.plan import CRITICS, plan_agent
from rlx2_ray.types import BadInput, Spaces


class Shapes(NamedTuple):
    algo: str
    observation_size: int
    action_size: int
    policy: tuple[Shape, ...]  # (outputs, inputs) of each layer
    critic: tuple[Shape, ...]  # of one of both
    batch_size: int
    n_step: int  # steps of a window at most
    has_average: bool  # whether a moving average of the policy is kept

    @classmethod
    def of(cls, config: ExperimentConfig, spaces: Spaces) -> Shapes:
        plan = plan_agent(config, spaces.observation_size, spaces.action_size)
        critics = [layer.shape for layer in plan.critic.layers]
        return cls(
            config.algo,
            spaces.observation_size,
            spaces.action_size,
            tuple(layer.shape for layer in plan.policy.layers),
            tuple(critics[: len(critics) // CRITICS]),
            config.agent.batch_size,
            config.target.n_step,
            config.policy.average > 0,
        )

    @property
    def every_step(self) -> bool:
        """Whether windows have all their next observations."""
        return ALGORITHMS[self.algo].needs_every_step


def check_member(shapes: Shapes, config: ExperimentConfig, spaces: Spaces) -> None:
    """Raises BadInput where a member cannot share a population of these shapes."""
    own = Shapes.of(config, spaces)
    fits = own.n_step <= shapes.n_step and own.has_average <= shapes.has_average
    alike = own._replace(n_step=shapes.n_step, has_average=shapes.has_average)
    for key, ours, theirs in zip(Shapes._fields, alike, shapes, strict=True):
        if ours != theirs:
            raise BadInput(f"{key} is {ours}, but {theirs} in the population, whose shapes are equal: train it apart.")
    if not fits:
        raise BadInput(
            f"target.n_step is {own.n_step} and policy.average {config.policy.average}, which this population has no "
            "room for: train it apart."
        )
