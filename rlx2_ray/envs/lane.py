"""One environment instance, stepped for ever: float32 observations, actions in [-1, 1], a known seed for each episode.

Because every episode starts from a seed of its own, a lane's state is the episode's number and the actions taken in
it: `restore` takes them again. That is exact for any deterministic environment and needs nothing from it but `step`.

What the environment answers is held against the rules of gymnasium's own checker (its utils.passive_env_checker) at
every step, as far as a run depends on it: what the checker only warns of and a run can do with, such as float64 where
float32 was announced, is taken.
"""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.actions import make_scale
from rlx2_ray.envs.make import close_env, inspect_spaces, make_env
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import Floats, RunFailed, Spaces

LARGEST = 1e18  # of an observation or a reward: losses square sums of them in float32, which ends at 3e38
FEW = 100  # numbers; more are faster as an array
NUMBERS: tuple[Any, ...] = (float, int, np.floating, np.integer, np.bool_)
TRUTHS = (bool, np.bool_, int, np.integer)
STEP = "(observation, reward, terminated, truncated, info)"
SHOWN = 60  # letters of a value

logger = logging.getLogger(__name__)


class EnvironmentFailed(RunFailed):
    """An environment raised, or answered what cannot be used; the text names it, what it did, and its step and seed."""


@contextmanager
def failing(when: str) -> Iterator[None]:
    """Raises RunFailed, a whole sentence, where an environment fails in here."""
    try:
        yield
    except EnvironmentFailed as error:
        raise RunFailed(f"{error}, {when}: the run stopped there.") from error


class Step(NamedTuple):
    next_observation: Floats  # (observation_size,), the final one where the episode ended
    reward: float
    terminated: bool
    truncated: bool


class LaneState(NamedTuple):
    episode: int
    actions: Floats  # (T, action_size), taken in this episode so far, in [-1, 1]
    observation: Floats  # (observation_size,), the current one


class EnvLane:
    """An environment that never ends.

    `observation` is what the next action answers; a finished episode is followed by the next one's first. Where it
    raises EnvironmentFailed, all is as it was before the step.
    """

    def __init__(
        self, config: EnvConfig, seed: int, stream: str, lane: int = 0, render_mode: str | None = None
    ) -> None:
        """Episode k is seeded by (seed, stream, lane, k). Raises BadInput for an environment that does not fit."""
        self.env = make_env(config, render_mode)
        self.spaces: Spaces = inspect_spaces(self.env, config.id)
        self._id = config.id
        self._seed_path = (seed, stream, lane)
        self._scale = make_scale(self.spaces)
        self._action_dtype, self._action_shape = self.env.action_space.dtype, self.env.action_space.shape
        self._observation_shape = self.env.observation_space.shape
        try:
            self.begin_episode(0)
        except EnvironmentFailed as error:
            self.close()
            raise RunFailed(f"{error}, its first: correct the environment, or give it what it needs.") from error

    def begin_episode(self, episode: int) -> None:
        seed = self._seed_of(episode)
        where = f"at the reset to seed {seed}"
        answer = self._call(lambda: self.env.reset(seed=seed), where)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            self._refuse(f"answered with {_show(answer)} and not (observation, info)", where)
        self.observation = self._flatten(answer[0], where)
        self.episode = episode
        self._actions: list[Floats] = []
        self.episode_return = 0.0  # the sum of the episode's rewards so far

    @property
    def episode_steps(self) -> int:
        """The number of actions taken in this episode so far."""
        return len(self._actions)

    def step(self, action: Floats) -> Step:
        """Take an action in [-1, 1]; -1 and 1 are the bounds of each dimension, which need not be symmetric."""
        before = self.observation, self.episode_return
        step = self._step(action)
        if step.terminated or step.truncated:
            try:
                self.begin_episode(self.episode + 1)
            except EnvironmentFailed:  # the step counts as not taken, so that a checkpoint can repeat it
                self._actions.pop()
                self.observation, self.episode_return = before
                raise
        return step

    def _step(self, action: Floats) -> Step:
        values = action.tolist()
        if not math.isfinite(sum(values)):
            raise EnvironmentFailed(f"the policy gave {action} as action")
        taken = np.array(self._scale(values), self._action_dtype).reshape(self._action_shape)
        answer: Any
        try:
            answer = self.env.step(taken)
        except (Exception, SystemExit) as error:
            answer = self._failure(error, self._moment)
        if not (isinstance(answer, tuple) and len(answer) == 5):
            if isinstance(answer, EnvironmentFailed):
                raise answer
            self._refuse(f"answered with {_show(answer)} and not {STEP}")
        raw, reward, terminated, truncated, _ = answer
        next_observation = self._flatten(raw)
        reward = self._check_reward(reward)
        if not (isinstance(terminated, TRUTHS) and isinstance(truncated, TRUTHS)):
            self._refuse(f"returned {_show(terminated)} and {_show(truncated)} as terminated and truncated")
        self.observation = next_observation
        self._actions.append(action)
        self.episode_return += reward
        return Step(next_observation, reward, bool(terminated), bool(truncated))

    def state(self) -> LaneState:
        actions = np.asarray(self._actions, dtype=np.float32).reshape(-1, self.spaces.action_size)
        return LaneState(self.episode, actions, self.observation)

    def restore(self, state: LaneState) -> bool:
        """Replay the saved episode. False, and a new episode begun, where the environment went another way."""
        self.begin_episode(state.episode)
        goes_on = all(not (step.terminated or step.truncated) for step in map(self._step, state.actions))
        if goes_on and np.array_equal(self.observation, state.observation):
            return True
        self.begin_episode(state.episode + 1)
        return False

    def close(self) -> None:
        close_env(self.env)

    def _seed_of(self, episode: int) -> int:
        seed, stream, lane = self._seed_path
        return derive_seed(seed, stream, lane, episode)

    @property
    def _moment(self) -> str:
        return f"at step {len(self._actions) + 1} of the episode of seed {self._seed_of(self.episode)}"

    def _flatten(self, raw: Any, where: str | None = None) -> Floats:
        array = raw if type(raw) is np.ndarray else self._call(partial(np.asarray, raw), where or self._moment)
        if array.shape != self._observation_shape:
            self._refuse(f"returned {_show(raw)} as observation and not one of shape {self._observation_shape}", where)
        flat = array.ravel()
        # No number is larger than the length of them all, which is NaN where one is; it costs least of all such checks.
        try:
            if flat.size > FEW or not math.hypot(*flat.tolist()) <= LARGEST:
                self._check(flat, where)
            return flat.astype(np.float32)
        except TypeError:
            self._refuse(f"returned an observation of {flat.dtype} and not of numbers", where)

    def _check_reward(self, reward: Any) -> float:
        if isinstance(reward, NUMBERS):
            try:
                if abs(value := float(reward)) <= LARGEST:  # not what is NaN
                    return value
            except OverflowError:  # an int that no float holds
                pass
        self._refuse(f"returned {_show(reward)} as reward")

    def _check(self, flat: Any, where: str | None) -> None:
        if np.iscomplexobj(flat):
            raise TypeError
        fits = np.abs(flat) <= LARGEST  # not what is NaN
        if np.count_nonzero(fits) < flat.size:
            index = int(np.flatnonzero(~fits)[0])
            self._refuse(f"returned {_show(flat[index])} as observation[{index}]", where)

    def _call(self, work: Callable[[], Any], where: str) -> Any:
        try:
            return work()
        except (Exception, SystemExit) as error:
            failure = self._failure(error, where)
        raise failure

    def _failure(self, error: BaseException, where: str) -> EnvironmentFailed:
        """To be raised where the error is no longer handled, or it would go along to processes that cannot read it."""
        said = " ".join(str(error).split()).rstrip(".")
        last = traceback.extract_tb(error.__traceback__)[-1]
        source = f"{Path(last.filename).name}, line {last.lineno}"
        logger.info("What %s raised:", self._id, exc_info=error)
        return EnvironmentFailed(
            f"{self._id} raised {type(error).__name__} ({said + '; ' if said else ''}{source}) {where}"
        )

    def _refuse(self, problem: str, where: str | None = None) -> NoReturn:
        raise EnvironmentFailed(f"{self._id} {problem} {where or self._moment}")


def _show(value: Any) -> str:
    """A value as a sentence may have it: what it is, where it is not short."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return f"{value:g}"
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN and not isinstance(value, dict | list) else f"a {type(value).__name__}"
