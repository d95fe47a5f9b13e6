"""Collecting experience: one lane, a policy, some steps, and what came of it as fragments of episodes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from time import monotonic
from typing import NamedTuple, Protocol

import numpy as np

from rlx2_ray.envs.lane import EnvironmentFailed, EnvLane
from rlx2_ray.networks.policy import ActingPolicy
from rlx2_ray.types import Floats, Fragment, RunFailed, Spaces


class Lane(Protocol):
    """What an action is drawn for."""

    @property
    def spaces(self) -> Spaces: ...

    @property
    def observation(self) -> Floats: ...


class Action(NamedTuple):
    taken: Floats  # (action_size,), in [-1, 1]
    of_policy: Floats  # the same without noise


class StepRefused(RunFailed):
    """An environment failed; names the env step, and what it did. `action` is what it was to do."""

    action: Action

    @classmethod
    def at(cls, env_step: int, action: Action, error: EnvironmentFailed) -> StepRefused:
        refusal = cls(f"{error}, at env step {env_step}: the run stopped there.")
        refusal.action = action
        return refusal


def collect(
    lane: EnvLane,
    number: int,
    policy: ActingPolicy | None,
    generator: np.random.Generator,
    steps: int,
    time: int,
    first: Action | None = None,
    until: float = math.inf,
) -> list[Fragment]:
    """Take `steps` exploring actions in `lane`, uniformly random ones where `policy` is None.

    Args:
        number: of the lane in the run.
        time: env steps of the whole run before these.
        first: the first of the actions, where it was drawn before.
        until: the moment of the monotonic clock after which no further step begins; one is always taken.

    Raises:
        StepRefused: the environment failed.
    """
    fragments = []
    piece = _Piece(lane)
    for step in range(steps):
        action, first = first or draw(lane, policy, generator), None
        try:
            result = lane.step(action.taken)
        except EnvironmentFailed as error:
            raise StepRefused.at(time + step + 1, action, error) from error
        piece.append(*action, result.reward, result.next_observation)
        if result.terminated or result.truncated:
            fragments.append(piece.finish(number, time + step + 1, result.terminated, result.truncated))
            piece = _Piece(lane)
        if monotonic() > until:
            break
    if piece.rewards:
        fragments.append(piece.finish(number, time + step + 1, False, False))
    return fragments


def finished_returns(fragments: Iterable[Fragment]) -> list[float]:
    """The returns of the episodes that ended in them."""
    return [each.episode_return for each in fragments if each.terminated or each.truncated]


def draw(lane: Lane, policy: ActingPolicy | None, generator: np.random.Generator) -> Action:
    """The next exploring action, a uniformly random one where `policy` is None."""
    if policy is not None:
        return Action(*policy.explore(lane.observation, generator))
    action = generator.uniform(-1, 1, lane.spaces.action_size).astype(np.float32)
    return Action(action, action)


class _Piece:
    """A fragment in the making."""

    def __init__(self, lane: EnvLane) -> None:
        self._episode, self._step = lane.episode, lane.episode_steps
        self._return = lane.episode_return
        self._observations = [lane.observation]
        self._actions: list[Floats] = []
        self._policy_actions: list[Floats] = []
        self.rewards: list[float] = []

    def append(self, action: Floats, policy_action: Floats, reward: float, next_observation: Floats) -> None:
        self._actions.append(action)
        self._policy_actions.append(policy_action)
        self.rewards.append(reward)
        self._return += reward
        self._observations.append(next_observation)

    def finish(self, number: int, end_time: int, terminated: bool, truncated: bool) -> Fragment:
        return Fragment(
            lane=number,
            time=end_time - len(self.rewards),
            episode=self._episode,
            step=self._step,
            observations=np.array(self._observations),
            actions=np.array(self._actions),
            policy_actions=np.array(self._policy_actions),
            rewards=np.array(self.rewards, dtype=np.float32),
            terminated=terminated,
            truncated=truncated,
            episode_return=self._return,
        )
