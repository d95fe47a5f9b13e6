"""Noise-free episodes on an environment of their own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Wrapper
from gymnasium.wrappers import TimeLimit

from rlx2_ray.config import LARGEST, UNLIMITED_STEPS, EvaluationConfig, ExperimentConfig, evaluated_steps
from rlx2_ray.envs.lane import EnvLane, failing
from rlx2_ray.networks.policy import NoiseFreePolicy
from rlx2_ray.types import BadInput, Spaces

STREAM = "evaluation"  # of seeds, apart from those of the training environments
USUAL_STEPS = 1000  # taken for an episode's length where the environment sets no limit


@dataclass(frozen=True)
class Evaluation:
    returns: tuple[float, ...]
    seconds: float = field(default=0.0, compare=False)  # that playing them took
    cut: int = 0  # episodes that were ended after `limit` steps
    limit: int = field(default=0, compare=False)

    @property
    def mean(self) -> float:
        return float(np.mean(self.returns))

    @property
    def std(self) -> float:
        """The standard deviation over episodes, population form."""
        return float(np.std(self.returns))

    @property
    def warning(self) -> str | None:
        """A sentence where episodes were cut."""
        if not self.cut:
            return None
        return (
            f"{self.cut} of {len(self.returns)} evaluation episodes were cut after {self.limit} steps, and count as "
            "far as they went (evaluation.max_episode_steps; of 'rlx2 evaluate' --max-episode-steps)."
        )


def check_sizes(source: Path, spaces: Spaces, env_spaces: Spaces, env_id: str) -> None:
    """Raises BadInput where a policy, which is from a file, is not for the environment."""
    expected, sizes = spaces[:2], env_spaces[:2]
    if sizes != expected:
        raise BadInput(f"{source} is a policy for sizes {expected}, but {env_id} has {sizes}: use the same version.")


def evaluate(
    policy: NoiseFreePolicy,
    lane: EnvLane,
    episodes: int,
    first_episode: int,
    on_step: Callable[[Any], None] = lambda env: None,
    max_episode_steps: int | None = None,
) -> Evaluation:
    """Play `episodes` episodes for their undiscounted returns; which they are depends on `first_episode` alone.

    `on_step` is given the environment before the first and after every step, an episode's last excepted, after which
    it already stands at the next episode's start. (A video takes its frames there, and a run that is to stop raises.)
    Episodes are cut after `max_episode_steps`, by default as `episode_limit` says.
    """
    started = time.monotonic()
    limit = episode_limit(lane.env, max_episode_steps)
    played = [_play(policy, lane, first_episode + k, on_step, limit) for k in range(episodes)]
    return evaluation_of(played, time.monotonic() - started, limit)


def evaluation_of(played: Sequence[Played], seconds: float, limit: int) -> Evaluation:
    return Evaluation(tuple(each.total for each in played), seconds, sum(each.is_cut for each in played), limit)


def evaluate_as(
    evaluation: EvaluationConfig,
    policy: NoiseFreePolicy,
    lane: EnvLane,
    first_episode: int,
    on_step: Callable[[Any], None] = lambda env: None,
) -> Evaluation:
    """Play an evaluation of a run."""
    return evaluate(policy, lane, evaluation.episodes, first_episode, on_step, evaluation.max_episode_steps)


def episode_limit(env: Any, max_episode_steps: int | None) -> int:
    """Steps after which an episode of an evaluation is cut: as asked for, or where the environment has no limit."""
    if max_episode_steps is not None:
        return max_episode_steps
    return LARGEST if _own_limit(env) else UNLIMITED_STEPS


def _own_limit(env: Any) -> int | None:
    """Its time limit in its own steps, where it was registered with one, made with one, or put into one."""
    while isinstance(env, Wrapper):
        if isinstance(env, TimeLimit):
            return env._max_episode_steps
        env = env.env
    return env.spec.max_episode_steps if env.spec else None


def evaluation_steps(config: ExperimentConfig, env: Any) -> int:
    """The env steps of a run's evaluations and of its deployed score, at most: those of a policy that never fails."""
    evaluation = config.evaluation
    own = math.ceil((_own_limit(env) or USUAL_STEPS) / config.env.action_repeat)
    length = min(own, evaluation.max_episode_steps or LARGEST)
    episodes = len(list(evaluated_steps(config))) * evaluation.episodes + evaluation.deployed_episodes
    return episodes * int(length)


class Played(NamedTuple):
    """One episode."""

    total: float
    is_cut: bool


def _play(policy: NoiseFreePolicy, lane: EnvLane, episode: int, on_step: Callable[[Any], None], limit: int) -> Played:
    with failing(in_episode(episode)):
        playing = play_by_steps(policy, lane, episode, limit)
        try:
            while True:
                on_step(next(playing))
        except StopIteration as end:
            played: Played = end.value
            return played


def in_episode(episode: int) -> str:
    """When it was that an environment failed."""
    return f"in evaluation episode {episode}"


def play_by_steps(policy: NoiseFreePolicy, lane: EnvLane, episode: int, limit: int) -> Generator[Any, None, Played]:
    """Yields the environment before the first and after every step, before which it may rest."""
    total = 0.0
    if (lane.episode, lane.episode_steps) != (episode, 0):  # the lane goes on with the next one by itself
        lane.begin_episode(episode)
    yield lane.env
    while True:
        step = lane.step(policy.action(lane.observation))
        yield lane.env
        total += step.reward
        if step.terminated or step.truncated:
            return Played(total, False)
        if lane.episode_steps >= limit:
            return Played(total, True)
