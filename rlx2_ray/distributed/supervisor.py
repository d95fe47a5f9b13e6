"""The actors runtime: one loop that hands out work, takes in what is done, and keeps the run's milestones.

    RolloutActor x R --fragments--> ReplayActor x S --batches--> LearnerActor --weights--> RolloutActor, EvaluatorActor

Data goes from actor to actor; this loop sees counts, metrics and references.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ray.exceptions import RayActorError, RayTaskError

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.config import updates_due
from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import EvaluatorActor, LearnerActor, Reference, RolloutActor
from rlx2_ray.distributed.local_ray import local_ray
from rlx2_ray.distributed.metric_means import MetricMeans
from rlx2_ray.distributed.rate_limiter import make_rate_limiter
from rlx2_ray.distributed.rollout_worker import Collected
from rlx2_ray.distributed.sharded_replay import ShardedReplay
from rlx2_ray.experiment.evaluation import Evaluation
from rlx2_ray.experiment.run import Run
from rlx2_ray.networks.policy import densify, make_policy
from rlx2_ray.types import RunFailed

CALL_STEPS = 32  # env steps of one call to a rollout, for each of its lanes
CALL_UPDATES = 64  # of one call to the learner, at most
MAX_EVALUATIONS = 2  # waiting; beyond it training waits for the evaluator
TICK_S = 0.5


def train_on_actors(run: Run, resume: bool) -> dict[str, Any]:
    """Train to the end and return the result. Raises RunFailed or Interrupted, a checkpoint kept."""
    runtime = run.config.runtime
    with local_ray(runtime.rollout_actors + runtime.replay_shards + 2):
        try:
            return Supervisor(run, resume).train()
        except (RayTaskError, RayActorError) as error:
            cause = actors.root_cause(error)
            if isinstance(cause, RunFailed):
                raise cause from None
            if isinstance(cause, RayActorError):
                raise RunFailed(
                    f"{actors.describe_death(cause)}: 'rlx2 resume {run.directory.path}' goes on from the last "
                    "checkpoint."
                ) from None
            raise


class Task(NamedTuple):
    """Work in progress: what to do with its value, and what kind it is."""

    kind: str  # "collect", "learn" or "evaluate"
    handle: Callable[[Any], None]


class Supervisor:
    def __init__(self, run: Run, resume: bool) -> None:
        self._run = run
        self._config = config = run.config
        runtime = config.runtime
        self._replay = ShardedReplay(config, run.spaces)
        self._learner = LearnerActor(config, run.spaces, self._replay.shards)
        self._evaluator = EvaluatorActor(config)
        ahead = CALL_STEPS * runtime.rollout_actors * runtime.envs_per_rollout
        self._limiter = make_rate_limiter(config, env_steps_tolerance=ahead + CALL_UPDATES)

        self._tasks: dict[Reference, Task] = {}
        self._env_steps = self._env_steps_begun = 0
        self._learner_steps = self._learner_steps_begun = 0
        self._evaluated = self._checked = self._saved = 0  # env steps of the latest milestone of each kind
        self._policy_distance = float("nan")
        self._metrics = MetricMeans()
        if resume:
            self._restore()
        self._version = 0
        self._weights = self._learner.weights_later()
        per_rollout = runtime.envs_per_rollout
        self._idle = deque(
            RolloutActor(
                config,
                range(index * per_rollout, (index + 1) * per_rollout),
                dict(enumerate(self._replay.shards)),
                first_time=self._env_steps,
            )
            for index in range(runtime.rollout_actors)
        )

    def train(self) -> dict[str, Any]:
        while not self._is_finished():
            self._run.check_interrupted(self._save)
            self._start_tasks()
            self._take_one()
            self._reach_milestones()
            self._run.advance(self._env_steps, self._replay.size, self._policy_distance)
        self._save()
        return self._run.finish(self._env_steps, self._learner_steps, actors.get(self._weights))

    def _is_finished(self) -> bool:
        return (
            not self._tasks
            and self._env_steps >= self._config.steps
            and self._learner_steps >= self._config.planned_updates
            and self._evaluated >= self._config.steps
        )

    # Work is handed out ...

    def _start_tasks(self) -> None:
        evaluations = sum(task.kind == "evaluate" for task in self._tasks.values())
        if evaluations >= MAX_EVALUATIONS:
            return
        while self._idle and self._steps_to_begin() > 0:
            self._start_collect(self._idle.popleft())
        updates = self._limiter.updates_allowed(self._env_steps, self._learner_steps_begun)
        if updates and self._learner_steps_begun == self._learner_steps:
            self._start_learn(min(updates, CALL_UPDATES))

    def _steps_to_begin(self) -> int:
        """Of the next call to a rollout; 0 where it would run ahead or the run has its steps."""
        if not self._limiter.may_collect(self._env_steps_begun, self._learner_steps):
            return 0
        warmup = self._config.agent.warmup_steps
        begun = self._env_steps_begun
        end = warmup if begun < warmup else self._config.steps  # a call is all random or not at all
        return min(CALL_STEPS * self._config.runtime.envs_per_rollout, end - begun)

    def _start_collect(self, rollout: RolloutActor) -> None:
        steps, begun = self._steps_to_begin(), self._env_steps_begun
        weights = self._weights if begun >= self._config.agent.warmup_steps else None
        reference = rollout.collect_later(steps, begun, self._version, weights)
        self._env_steps_begun += steps

        def handle(collected: Collected) -> None:
            self._idle.append(rollout)
            self._env_steps += collected.env_steps
            self._replay.note_sizes(collected.sizes)

        self._tasks[reference] = Task("collect", handle)

    def _start_learn(self, updates: int) -> None:
        learning = self._learner.learn_later(updates, self._replay.sizes)
        self._learner_steps_begun += updates

        def handle(learned: Any) -> None:
            self._learner_steps = learned.learner_steps
            self._metrics.add(learned.metrics)
            self._weights = learning.weights
            self._version += 1

        self._tasks[learning.learned] = Task("learn", handle)

    def _start_evaluation(self, env_steps: int) -> None:
        reference = self._evaluator.evaluate_later(env_steps, self._weights)
        learner_steps = self._learner_steps
        metrics = {
            **self._metrics.take(),
            "replay/size": float(self._replay.size),
            "replay/policy_distance": self._policy_distance,
        }

        def handle(evaluation: Evaluation) -> None:
            self._run.record(env_steps, learner_steps, evaluation, metrics)

        self._tasks[reference] = Task("evaluate", handle)
        self._evaluated = env_steps

    # ... and taken in.

    def _take_one(self) -> None:
        if not self._tasks:
            return
        reference = actors.wait_for_one(list(self._tasks), TICK_S)
        if reference is not None:
            self._finish_task(reference)

    def _finish_task(self, reference: Reference) -> None:
        task = self._tasks.pop(reference)
        try:
            value = actors.get(reference)
        except (RayTaskError, RayActorError):
            self._save()  # what the other actors have done is not lost
            raise
        task.handle(value)

    def _drain(self) -> None:
        """Take in all work in progress, in the order in which it was handed out."""
        while self._tasks:
            self._finish_task(next(iter(self._tasks)))

    def _reach_milestones(self) -> None:
        config = self._config
        self._checked = self._at(config.replay.check_interval, self._checked, self._check_capacity)
        self._start_due_evaluations()
        self._saved = self._at(config.checkpoint.interval, self._saved, self._save)

    def _at(self, interval: int, last: int, act: Callable[[], None]) -> int:
        """Act where a multiple of `interval` was passed since `last`; returns the latest multiple."""
        latest = self._env_steps // interval * interval
        if latest > last:
            act()
        return latest

    def _start_due_evaluations(self) -> None:
        """An evaluation of env step m sees the policy after all updates due at m, as inline."""
        config = self._config
        while self._evaluated < config.steps:
            following = min(
                (self._evaluated // config.evaluation.interval + 1) * config.evaluation.interval, config.steps
            )
            due = updates_due(following, config.agent.warmup_steps, config.agent.updates_per_env_step)
            if self._env_steps < following or self._learner_steps < due:
                return
            self._start_evaluation(following)

    def _check_capacity(self) -> None:
        policy = make_policy(self._config.algo, densify(actors.get(self._weights)), 0.0, "mean")
        self._policy_distance = self._replay.check_capacity(policy)

    # State

    def _save(self) -> None:
        self._drain()
        with self._run.pause_training_clock():
            state = self._learner.state()
            values = {
                "learner": state.values,
                "checked": self._checked,
                "policy_distance": None if np.isnan(self._policy_distance) else self._policy_distance,
                "metrics": self._metrics.state(),
            }
            self._run.save_checkpoint(self._env_steps, state.arrays, values, self._replay.save)

    def _restore(self) -> None:
        loaded = self._run.load_checkpoint(self._replay.load)
        if loaded is None:
            return
        checkpoint, _ = loaded
        values = checkpoint.values
        self._env_steps = self._env_steps_begun = values["env_steps"]
        learner_state = LearnerState(checkpoint.arrays, values["learner"])
        self._learner_steps = self._learner_steps_begun = self._learner.restore(learner_state)
        self._evaluated = self._run.last_evaluated
        self._checked = values["checked"]
        self._saved = self._env_steps
        self._policy_distance = float("nan") if values["policy_distance"] is None else values["policy_distance"]
        self._metrics.restore(values["metrics"])
