"""Episodes of an evaluation, played a step at a time by whoever has nothing else to do.

The policy comes along with the episode, and acts by the same products in the same order as wherever an evaluation is
played by itself, so that its returns are the same to the bit whoever plays it, when, and beside whatever.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, NamedTuple

from rlx2_ray import plugins
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs import modules
from rlx2_ray.envs.lane import EnvLane, failing
from rlx2_ray.experiment.evaluation import Played, episode_limit, in_episode, play_by_steps
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.types import BadInput, RunFailed


class Game(NamedTuple):
    """Episodes to be played by one policy of a run."""

    config: ExperimentConfig
    policy: PolicyWeights
    stream: str  # of seeds
    first_episode: int
    episodes: int


class Outcome(NamedTuple):
    """Of one episode."""

    played: Played | None
    failure: str = ""  # a whole sentence, where there is one
    seconds: float = 0.0
    limit: int = 0  # steps after which it was to be cut


class Playing:
    """One episode after the other; the environment is kept while they are of the same run."""

    def __init__(self) -> None:
        self._lane: EnvLane | None = None
        self._of: tuple[Any, ...] = ()  # what the environment is of
        self._steps: Generator[Any, None, Played] | None = None
        self._seconds, self._limit = 0.0, 0

    def step(self, game: Game, episode: int) -> Outcome | None:
        """Take the next step of the episode; what came of it, when it has ended."""
        started = time.monotonic()
        try:
            with failing(in_episode(episode)):
                self._steps = self._steps or self._begin(game, episode)
                next(self._steps)
            self._seconds += time.monotonic() - started
            return None
        except StopIteration as end:
            seconds, self._seconds, self._steps = self._seconds + time.monotonic() - started, 0.0, None
            return Outcome(end.value, seconds=seconds, limit=self._limit)
        except (RunFailed, BadInput) as failure:
            self.stop()
            return Outcome(None, str(failure))

    def stop(self) -> None:
        """Give up what is played, and its environment."""
        self._steps, self._seconds = None, 0.0
        if self._lane is not None:
            self._lane.close()
        self._lane = None

    def _begin(self, game: Game, episode: int) -> Generator[Any, None, Played]:
        config = game.config
        lane = self._lane_of(config, game.stream)
        self._limit = episode_limit(lane.env, config.evaluation.max_episode_steps)
        policy = make_evaluation_policy(config.algo, make_network(game.policy))
        return play_by_steps(policy, lane, episode, self._limit)

    def _lane_of(self, config: ExperimentConfig, stream: str) -> EnvLane:
        wanted = (config.env, config.plugins, config.seed, stream)
        if self._lane is None or wanted != self._of:
            self.stop()
            modules.trust_made(config.env, config.plugins)
            plugins.load(config.plugins)
            self._lane, self._of = EnvLane(config.env, config.seed, stream), wanted
        return self._lane
