"""What steps the environments of members, and the plain reference of it: in this process.

Of a step `begin_step` and `finish_step` are apart, so that those of all members can go on at once.
"""

from __future__ import annotations

from typing import Protocol

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvLane, LaneState, Step
from rlx2_ray.experiment.population.playing import Game
from rlx2_ray.experiment.population.plays import Play
from rlx2_ray.types import Floats, Spaces


class SlotLane(Protocol):
    """An environment."""

    @property
    def spaces(self) -> Spaces: ...

    @property
    def observation(self) -> Floats: ...

    @property
    def episode(self) -> int: ...

    @property
    def episode_steps(self) -> int: ...

    @property
    def episode_return(self) -> float: ...

    def begin_step(self, action: Floats) -> None: ...

    def finish_step(self) -> Step:
        """Raises EnvironmentFailed with all as it was before the step."""
        ...

    def state(self) -> LaneState: ...

    def restore(self, state: LaneState) -> bool: ...

    def close(self) -> None: ...


class Physics(Protocol):
    """Makes environments, and may play evaluations while the members go on."""

    @property
    def plays(self) -> bool:
        """Whether it plays evaluations; else each member does so itself."""
        ...

    def make_lane(self, config: ExperimentConfig, stream: str) -> SlotLane: ...

    def play(self, game: Game) -> Play: ...

    def send_steps(self) -> None:
        """Have all steps taken that were begun; whoever finishes one has it taken, too."""
        ...

    def look(self, seconds: float) -> None:
        """Take what has come of what is played; wait for it, but not for longer."""
        ...


class LocalLane(EnvLane):
    def begin_step(self, action: Floats) -> None:
        self._begun = action

    def finish_step(self) -> Step:
        return self.step(self._begun)


class LocalPhysics:
    plays = False

    def make_lane(self, config: ExperimentConfig, stream: str) -> LocalLane:
        return LocalLane(config.env, config.seed, stream)

    def play(self, game: Game) -> Play:
        raise TypeError("a member plays its evaluations itself")

    def send_steps(self) -> None:
        pass

    def look(self, seconds: float) -> None:
        pass
