"""The one place where plain classes become Ray actors, and the handles that hide it.

A handle's methods that end in `_later` return a reference to wait for; the others wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayActorError, RayTaskError

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.evaluation_worker import EvaluationWorker
from rlx2_ray.distributed.learner_worker import LearnerWorker
from rlx2_ray.distributed.replay_shard import ReplayShard
from rlx2_ray.distributed.rollout_worker import RolloutWorker
from rlx2_ray.types import Batch, Fragment, Spaces

Reference = Any  # ray.ObjectRef


class PendingBatch:
    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    def get(self) -> Batch:
        return ray.get(self._reference)  # type: ignore[no-any-return]


class ReplayActor:
    """A `ReplayShard` in a process of its own."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces, lanes: Sequence[int], lanes_in_all: int) -> None:
        self._actor = _make_actor(ReplayShard, config, spaces, lanes, lanes_in_all)

    def insert(self, fragments: Sequence[Fragment]) -> int:
        return ray.get(self._actor.insert.remote(fragments))  # type: ignore[no-any-return]

    def sample(self, windows: int, n_step: int, every_step: bool) -> PendingBatch:
        return PendingBatch(self._actor.sample.remote(windows, n_step, every_step))

    def oldest_later(self, count: int) -> Reference:
        return self._actor.oldest.remote(count)

    def oldest_times_later(self, count: int) -> Reference:
        return self._actor.oldest_times.remote(count)

    def evict_oldest_later(self, count: int) -> Reference:
        return self._actor.evict_oldest.remote(count)

    def save_later(self, directory: Path, previous: Path | None) -> Reference:
        return self._actor.save.remote(str(directory), str(previous) if previous else None)

    def load_later(self, directory: Path) -> Reference:
        return self._actor.load.remote(str(directory))


class RolloutActor:
    """A `RolloutWorker` in a process of its own."""

    def __init__(
        self, config: ExperimentConfig, lanes: Sequence[int], shards: Mapping[int, ReplayActor], first_time: int
    ) -> None:
        self._actor = _make_actor(RolloutWorker, config, lanes, shards, first_time)

    def collect_later(self, steps: int, time: int, version: int, weights: Reference | None) -> Reference:
        return self._actor.collect.remote(steps, time, version, weights)


class Learning(NamedTuple):
    """References to what a call of `learn` gives."""

    learned: Reference
    weights: Reference  # passed on to rollouts and evaluator without a stop here


class LearnerActor:
    """A `LearnerWorker` in a process of its own."""

    def __init__(self, config: ExperimentConfig, spaces: Spaces, shards: Sequence[ReplayActor]) -> None:
        self._actor = _make_actor(LearnerWorker, config, spaces, shards)

    def learn_later(self, updates: int, sizes: Sequence[int]) -> Learning:
        return Learning(*self._actor.learn.options(num_returns=2).remote(updates, sizes))

    def weights_later(self) -> Reference:
        return self._actor.policy_layers.remote()

    def state(self) -> LearnerState:
        return ray.get(self._actor.state.remote())  # type: ignore[no-any-return]

    def restore(self, state: LearnerState) -> int:
        return ray.get(self._actor.restore.remote(state))  # type: ignore[no-any-return]


class EvaluatorActor:
    """An `EvaluationWorker` in a process of its own."""

    def __init__(self, config: ExperimentConfig) -> None:
        self._actor = _make_actor(EvaluationWorker, config)

    def evaluate_later(self, env_steps: int, weights: Reference) -> Reference:
        return self._actor.evaluate.remote(env_steps, weights)


def get(references: Any) -> Any:
    """The value of a reference, or the values of several."""
    return ray.get(references)


def wait_for_one(references: Sequence[Reference], timeout_s: float) -> Reference | None:
    """The first to be ready, or None after `timeout_s`."""
    ready, _ = ray.wait(list(references), num_returns=1, timeout=timeout_s)
    return ready[0] if ready else None


def root_cause(error: BaseException) -> BaseException:
    """What went wrong in the first place, where one actor failed because of another."""
    while isinstance(error, RayTaskError):
        error = error.cause
    return error


def describe_death(error: RayActorError) -> str:
    """Which actor died, in the words of one line; Ray's own fill a screen."""
    lines = [line.strip() for line in str(error).splitlines()]
    names = [line.removeprefix("class_name: ") for line in lines if line.startswith("class_name: ")]
    return f"The actor {names[0]} died" if names else f"An actor died ({lines[0].rstrip('.')})"


def _make_actor(worker: type, *arguments: Any) -> Any:
    return ray.remote(worker).options(num_cpus=1).remote(*arguments)
