"""What members of a population have in common: whatever decides the shape of a tensor. All else may differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.densities import Shape
from rlx2_ray.sparse.plan import CRITICS, plan_agent
from rlx2_ray.types import BadInput, Spaces


class Room(NamedTuple):
    """What there is at most: a member that has less leaves the rest alone."""

    n_step: int  # steps of a window
    samples: int  # actions that a target draws
    average: bool  # whether a moving average of the policy is kept
    own_steps: bool  # whether grown weights count steps of their own
    rescaled: bool  # whether weights are rescaled from those that are stepped
    critic_norm: bool  # whether the critics' hidden layers are normalised

    @classmethod
    def of(cls, config: ExperimentConfig) -> Room:
        return cls(
            config.target.n_step,
            config.target.samples,
            config.policy.average > 0,
            config.agent.grown_steps == "own",
            config.network.rescaled != "none",
            config.network.critic_norm != "none",
        )


# Whose values say what room is needed.
KEYS = (
    "target.n_step",
    "target.samples",
    "policy.average",
    "agent.grown_steps",
    "network.rescaled",
    "network.critic_norm",
)


class Shapes(NamedTuple):
    algo: str
    observation_size: int
    action_size: int
    policy: tuple[Shape, ...]  # (outputs, inputs) of each layer
    critic: tuple[Shape, ...]  # of one of both
    batch_size: int
    room: Room

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
            Room.of(config),
        )

    @property
    def every_step(self) -> bool:
        """Whether windows have all their next observations."""
        return ALGORITHMS[self.algo].needs_every_step


def shapes_of_all(configs: Sequence[ExperimentConfig], spaces: Spaces) -> Shapes:
    """Those of the first, with room for what any has."""
    rooms = [Room.of(config) for config in configs]
    return Shapes.of(configs[0], spaces)._replace(room=Room(*map(max, zip(*rooms, strict=True))))


def check_member(shapes: Shapes, config: ExperimentConfig, spaces: Spaces) -> None:
    """Raises BadInput where a member cannot share a population of these shapes."""
    own = Shapes.of(config, spaces)
    for key, ours, theirs in zip(Shapes._fields, own._replace(room=shapes.room), shapes, strict=True):
        if ours != theirs:
            raise BadInput(f"{key} is {ours}, but {theirs} in the population, whose shapes are equal: train it apart.")
    for key, wanted, there in zip(KEYS, own.room, shapes.room, strict=True):
        if wanted > there:
            raise BadInput(f"{key} asks for more than this population has room for: train it apart.")
