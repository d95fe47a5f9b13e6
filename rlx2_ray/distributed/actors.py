"""The one place where plain classes become Ray actors, and the handles that hide it.

A handle's methods that end in `_later` return a reference to wait for (`patience`); the others wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorUnavailableError, ObjectLostError, RayError, RayTaskError
from ray.util.placement_group import get_current_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.returns import Returns
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.evaluation_worker import EvaluationWorker
from rlx2_ray.distributed.learner_worker import LearnerWorker
from rlx2_ray.distributed.patience import ANSWER_S
from rlx2_ray.distributed.replay_shard import ReplayShard, ShardStatus
from rlx2_ray.distributed.rollout_worker import RolloutWorker
from rlx2_ray.networks.moments import Moments
from rlx2_ray.types import Floats, Fragment, Spaces

Reference = Any  # ray.ObjectRef


class Crew(AbstractContextManager["Crew"]):
    """The actors of one run, which end with it.

    Ray ends an actor once nobody has its handle, but a traceback, say, may keep handles for as long as the process
    lives, and with them the places of the actors, which the next run on the same Ray then waits for.
    """

    def __init__(self) -> None:
        self._actors: list[Any] = []

    def make(self, worker: type, *arguments: Any, **options: Any) -> Any:
        actor = ray.remote(worker).options(num_cpus=1, **options).remote(*arguments)
        self._actors.append(actor)
        return actor

    def __exit__(self, *error: object) -> None:
        if ray.is_initialized():
            for actor in self._actors:
                ray.kill(actor)


class PendingChunk:
    """A chunk of windows that is on its way from a shard."""

    def __init__(self, actor: Any, request: tuple[list[int], int, bool]) -> None:
        self._actor = actor
        self._request = request
        self._reference = actor.sample.remote(*request)

    def get(self) -> Floats | None:
        while True:
            try:
                return ray.get(self._reference, timeout=ANSWER_S)  # type: ignore[no-any-return]
            except (ObjectLostError, ActorUnavailableError):  # went with the shard's node: any other windows will do
                self._reference = self._actor.sample.remote(*self._request)


class ReplayActor:
    """A `ReplayShard` in a process of its own.

    Whoever has this handle keeps it: a shard that dies is restarted by Ray, and the calls that were lost are repeated.
    """

    def __init__(
        self, crew: Crew, config: ExperimentConfig, spaces: Spaces, shard: int, checkpoints: Path, node: str | None
    ) -> None:
        options = {"max_restarts": -1, "max_task_retries": -1}
        self._actor = crew.make(ReplayShard, config, spaces, shard, checkpoints, **options, **_placement(node))

    def insert(self, fragments: Sequence[Fragment], horizon: int) -> ShardStatus:
        return ray.get(self._actor.insert.remote(fragments, horizon), timeout=ANSWER_S)  # type: ignore[no-any-return]

    def sample(self, counts: list[int], n_step: int, every_step: bool) -> PendingChunk:
        return PendingChunk(self._actor, (counts, n_step, every_step))

    def status_later(self) -> Reference:
        return self._actor.status.remote()

    def oldest_later(self, count: int) -> Reference:
        return self._actor.oldest.remote(count)

    def oldest_times_later(self, count: int) -> Reference:
        return self._actor.oldest_times.remote(count)

    def evict_before_later(self, time: int) -> Reference:
        return self._actor.evict_before.remote(time)

    def save_later(self, directory: Path, previous: Path | None) -> Reference:
        return self._actor.save.remote(directory, previous)

    def load_later(self, root: Path) -> Reference:
        return self._actor.load.remote(root)


class RolloutActor:
    """A `RolloutWorker` in a process of its own."""

    def __init__(
        self,
        crew: Crew,
        config: ExperimentConfig,
        lanes: Sequence[int],
        shards: Mapping[int, ReplayActor],
        generation: int,
    ) -> None:
        self.lanes = lanes
        self._actor = crew.make(RolloutWorker, config, lanes, shards, generation)

    def collect_later(self, steps: int, time: int, version: int, weights: Reference | None) -> Reference:
        return self._actor.collect.remote(steps, time, version, weights)

    def kill(self) -> None:
        ray.kill(self._actor)


class Learning(NamedTuple):
    """The references to what a call of `learn` gives."""

    learned: Reference
    weights: Reference  # passed on to rollouts and evaluator without a stop here


class LearnerActor:
    """A `LearnerWorker` in a process of its own."""

    def __init__(self, crew: Crew, config: ExperimentConfig, spaces: Spaces) -> None:
        self._actor = crew.make(LearnerWorker, config, spaces)

    def node_later(self) -> Reference:
        """Ray's id of the node that it runs on."""
        return self._actor.__ray_call__.remote(_node_id)

    def connect_later(self, shards: Sequence[ReplayActor]) -> Reference:
        return self._actor.connect.remote(shards)

    def learn_later(
        self, updates: int, sizes: Sequence[int], observed: Moments | None = None, returns: Returns | None = None
    ) -> Learning:
        return Learning(*self._actor.learn.options(num_returns=2).remote(updates, sizes, observed, returns))

    def weights_later(self) -> Reference:
        return self._actor.policy_weights.remote()

    def evaluated_weights_later(self) -> Reference:
        return self._actor.evaluated_weights.remote()

    def state_later(self) -> Reference:
        return self._actor.state.remote()

    def restore_later(self, state: LearnerState) -> Reference:
        return self._actor.restore.remote(state)

    def kill(self) -> None:
        ray.kill(self._actor)


class EvaluatorActor:
    """An `EvaluationWorker` in a process of its own."""

    def __init__(self, crew: Crew, config: ExperimentConfig) -> None:
        self._actor = crew.make(EvaluationWorker, config)

    def evaluate_later(self, env_steps: int, weights: Any) -> Reference:
        return self._actor.evaluate.remote(env_steps, weights)

    def kill(self) -> None:
        ray.kill(self._actor)


def get(references: Any) -> Any:
    """The value of a reference, or the values of several, of actors that are there."""
    return ray.get(references, timeout=ANSWER_S)


def wait_for_some(references: Sequence[Reference], timeout_s: float) -> list[Reference]:
    """Wait until a reference is ready, and return all that are, in the order given; none after `timeout_s`."""
    ready, _ = ray.wait(list(references), num_returns=1, timeout=timeout_s)
    if ready:
        ready, _ = ray.wait(list(references), num_returns=len(references), timeout=0)
    return ready  # type: ignore[no-any-return]


def root_cause(error: BaseException) -> BaseException:
    """The error that came first, where one actor failed because of another."""
    while isinstance(error, RayTaskError):
        error = error.cause
    return error


def is_loss(error: BaseException) -> bool:
    """Whether a process or node was lost, as opposed to work that failed by itself."""
    return isinstance(root_cause(error), RayError)


def describe_death(error: BaseException) -> str:
    """Say in one line which actor died; Ray's own words fill a screen."""
    lines = [line.strip() for line in str(error).splitlines()]
    names = [line.removeprefix("class_name: ") for line in lines if line.startswith("class_name: ")]
    return f"The actor {names[0]} died" if names else f"An actor died ({lines[0].rstrip('.')})"


def _placement(node: str | None) -> dict[str, Any]:
    """Near `node`, or spread where it is None; inside a placement group (a trial's) that group decides."""
    if get_current_placement_group() is not None:
        return {}
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True) if node else "SPREAD"}


def _node_id(worker: object) -> str:
    return str(ray.get_runtime_context().get_node_id())
