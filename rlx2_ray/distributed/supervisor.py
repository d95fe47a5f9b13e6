"""The actors runtime: one loop that hands out work, takes in what is done, and keeps the run's milestones.

    RolloutActor x R --fragments--> ReplayActor x S --batches--> LearnerActor --weights--> RolloutActor, EvaluatorActor

Data goes from actor to actor; this loop sees counts, metrics and references. It is also what outlives the actors: one
that dies shows in the work that it does not finish, and another takes its place. A rollout goes on with new episodes,
a learner from the newest checkpoint, an evaluator with the same evaluation; a shard comes back by itself, with its part
of the newest checkpoint.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from ray.exceptions import RayError

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.config import updates_due
from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import EvaluatorActor, LearnerActor, Reference, RolloutActor
from rlx2_ray.distributed.cluster import ray_of
from rlx2_ray.distributed.faults import Faults
from rlx2_ray.distributed.learner_worker import Learned
from rlx2_ray.distributed.metric_means import MetricMeans
from rlx2_ray.distributed.rate_limiter import make_rate_limiter
from rlx2_ray.distributed.rollout_worker import Collected
from rlx2_ray.distributed.sharded_replay import ShardedReplay
from rlx2_ray.experiment.capacity_check import check_capacity
from rlx2_ray.experiment.evaluation import Evaluation
from rlx2_ray.experiment.run import Run, Training
from rlx2_ray.networks.policy import densify, make_policy
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.runs.checkpoint import load_newest
from rlx2_ray.runs.directory import Point
from rlx2_ray.types import RunFailed

CALL_STEPS = 32  # env steps of one call to a rollout, for each of its lanes
CALL_UPDATES = 64  # of one call to the learner, at most
MAX_EVALUATIONS = 2  # waiting; beyond it training waits for the evaluator
TICK_S = 0.5
STALL_S = 60.0  # without anything done, after which the user is told

Answer = TypeVar("Answer")


def train_on_actors(run: Run, resume: bool) -> Training:
    """Train to the end. Raises RunFailed or Interrupted, a checkpoint kept."""
    with ray_of(run.config.runtime, run.directory.path):
        try:
            return (yield from Supervisor(run, resume).train())
        except RayError as error:
            cause = actors.root_cause(error)
            if isinstance(cause, RunFailed):
                raise cause from None
            if actors.is_loss(error):
                raise RunFailed(
                    f"{actors.describe_death(cause)}: 'rlx2 resume {run.directory.path}' goes on from the last "
                    "checkpoint."
                ) from None
            raise


class Task(NamedTuple):
    """Work in progress: what to do with its value, and what to do where the actor died over it."""

    kind: str  # "rollout", "learner" or "evaluator"
    handle: Callable[[Any], None]
    lose: Callable[[RayError], None]


class Supervisor:
    def __init__(self, run: Run, resume: bool) -> None:
        self._run = run
        self._config = config = run.config
        runtime = config.runtime
        self._learner = LearnerActor(config, run.spaces)
        node = self._learner.node() if runtime.shard_placement == "near" else None
        self._replay = ShardedReplay(config, run.spaces, run.directory.checkpoints, node)
        self._learner.connect(self._replay.shards)
        self._evaluator = EvaluatorActor(config)
        ahead = CALL_STEPS * runtime.rollout_actors * runtime.envs_per_rollout
        self._limiter = make_rate_limiter(config, env_steps_tolerance=ahead + 2 * CALL_UPDATES)

        self._tasks: dict[Reference, Task] = {}
        self._env_steps = self._env_steps_begun = 0
        self._time = 0  # as `_env_steps_begun`, but with the env steps that were lost and taken again
        self._generation = 0  # of the rollouts that are made next
        self._learner_steps = self._learner_steps_begun = 0
        self._evaluated = self._checked = self._saved = 0  # env steps of the latest milestone of each kind
        self._policy_distance = float("nan")
        self._metrics = MetricMeans()
        self._faults = Faults()
        self._last_done = time.monotonic()
        if resume:
            self._restore()
        self._version = 0
        self._weights = self._learner.weights_later()
        per_rollout = runtime.envs_per_rollout
        self._idle = deque(
            self._make_rollout(range(index * per_rollout, (index + 1) * per_rollout))
            for index in range(runtime.rollout_actors)
        )

    def _make_rollout(self, lanes: Sequence[int]) -> RolloutActor:
        return RolloutActor(self._config, lanes, dict(enumerate(self._replay.shards)), self._generation)

    def train(self) -> Training:
        while True:
            yield from self._work()
            self._save()
            policy = self._policy_layers()
            if self._is_finished():  # not if the learner has just died
                return self._run.finish(self._env_steps, self._learner_steps, policy, self._faults.state())

    def _work(self) -> Iterator[Point]:
        while not self._is_finished():
            self._run.check_interrupted(self._save)
            self._start_tasks()
            self._take_what_is_done()
            self._reach_milestones()
            self._note_shard_losses()
            self._run.advance(self._env_steps, self._replay.size, self._policy_distance)
            yield from self._run.take_new_points()

    def _is_finished(self) -> bool:
        return self._run.ended_early or (
            not self._tasks
            and self._env_steps >= self._config.steps
            and self._learner_steps >= self._config.planned_updates
            and self._evaluated >= self._config.steps
        )

    # Work is handed out ...

    def _start_tasks(self) -> None:
        evaluations = sum(task.kind == "evaluator" for task in self._tasks.values())
        if evaluations >= MAX_EVALUATIONS:
            return
        while self._idle and self._steps_to_begin() > 0:
            self._start_collect(self._idle.popleft())
        updates = self._limiter.updates_allowed(self._env_steps, self._learner_steps_begun)
        ahead = self._learner_steps_begun - self._learner_steps
        # A full call waits beside the one in progress, so that the learner need not wait for this loop.
        is_wanted = updates > 0 if not ahead else ahead <= CALL_UPDATES <= updates
        if is_wanted and self._replay.size:
            self._start_learn(min(updates, CALL_UPDATES))

    def _steps_to_begin(self) -> int:
        """Of the next call to a rollout; 0 where it would run ahead or the run has its steps."""
        if self._replay.size and not self._limiter.may_collect(self._env_steps_begun, self._learner_steps):
            return 0
        warmup = self._config.agent.warmup_steps
        begun = self._env_steps_begun
        end = warmup if begun < warmup else self._config.steps  # a call is all random or not at all
        return min(CALL_STEPS * self._config.runtime.envs_per_rollout, end - begun)

    def _start_collect(self, rollout: RolloutActor) -> None:
        steps, begun = self._steps_to_begin(), self._env_steps_begun
        weights = self._weights if begun >= self._config.agent.warmup_steps else None
        reference = rollout.collect_later(steps, self._time, self._version, weights)
        self._env_steps_begun += steps
        self._time += steps

        def handle(collected: Collected) -> None:
            self._idle.append(rollout)
            self._env_steps += collected.env_steps
            self._replay.note(collected.statuses)

        def lose(error: RayError) -> None:
            self._env_steps_begun -= steps
            self._faults.count(env_steps_lost=steps)
            self._note_death("rollout", error, f"its last {steps} env steps are taken anew")
            rollout.kill()
            self._generation += 1
            self._idle.append(self._make_rollout(rollout.lanes))
            self._refresh_weights()  # they may be what was lost

        self._tasks[reference] = Task("rollout", handle, lose)

    def _start_learn(self, updates: int) -> None:
        learner = self._learner
        learning = learner.learn_later(updates, self._replay.sizes)
        self._learner_steps_begun += updates

        def handle(learned: Learned) -> None:
            if learner is not self._learner:  # it has died since, and another has gone back to the checkpoint
                return
            self._learner_steps = learned.learner_steps
            if learned.undone:
                self._learner_steps_begun -= learned.undone
                self._replay.refresh()  # a shard has less than it was thought to have
            self._metrics.add(learned.metrics)
            self._weights = learning.weights
            self._version += 1

        def lose(error: RayError) -> None:
            if learner is self._learner:
                self._replace_learner(error)

        self._tasks[learning.learned] = Task("learner", handle, lose)

    def _start_evaluation(self, env_steps: int) -> None:
        metrics = {
            **self._metrics.take(),
            "replay/size": float(self._replay.size),
            "replay/policy_distance": self._policy_distance,
            "actors/updates_undone": float(self._limiter.updates_allowed(self._env_steps, self._learner_steps)),
            **self._faults.metrics(),
        }
        self._evaluate(env_steps, self._learner_steps, self._policy_layers(), metrics)
        self._evaluated = env_steps

    def _evaluate(self, env_steps: int, learner_steps: int, policy: Layers, metrics: dict[str, float]) -> None:
        evaluator = self._evaluator
        reference = evaluator.evaluate_later(env_steps, policy)

        def handle(evaluation: Evaluation) -> None:
            self._run.record(env_steps, learner_steps, evaluation, policy, metrics)

        def lose(error: RayError) -> None:
            if evaluator is self._evaluator:
                self._note_death("evaluator", error, "its evaluation is made anew")
                evaluator.kill()
                self._evaluator = EvaluatorActor(self._config)
            self._evaluate(env_steps, learner_steps, policy, metrics)

        self._tasks[reference] = Task("evaluator", handle, lose)

    # ... and taken in.

    def _take_what_is_done(self) -> None:
        if not self._tasks:
            return
        for reference in actors.wait_for_some(list(self._tasks), TICK_S):
            if reference in self._tasks:  # what came before may have taken in all
                self._finish_task(reference)
        if time.monotonic() > self._last_done + STALL_S:
            self._say_what_is_awaited()

    def _finish_task(self, reference: Reference) -> None:
        task = self._tasks.pop(reference)
        self._last_done = time.monotonic()
        try:
            value = actors.get(reference)
        except RayError as error:
            if not actors.is_loss(error):
                self._save()  # what the other actors have done is not lost
                raise
            task.lose(error)
            return
        self._faults.note_success(task.kind)
        task.handle(value)

    def _say_what_is_awaited(self) -> None:
        kinds = ", ".join(sorted({task.kind for task in self._tasks.values()}))
        self._run.display.say(
            f"Nothing was done for {STALL_S:.0f} s; calls to {kinds} are waited for. "
            "If actors wait for a place, give the cluster more CPUs ('ray status')."
        )
        self._last_done = time.monotonic()

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
        self._replay.evict_before(self._time - self._config.replay.max_capacity)  # where no rollout writes, too
        policy = make_policy(self._config.algo, densify(self._policy_layers()), 0.0, "mean")
        self._policy_distance = check_capacity(self._replay, policy, self._config.replay)

    # What died is replaced

    def _note_death(self, kind: str, error: RayError, consequence: str) -> None:
        """Raises RunFailed where actors of this kind do nothing but die."""
        self._run.display.say(f"The {kind} died; another takes its place, {consequence}.")
        self._faults.note_death(kind, actors.describe_death(actors.root_cause(error)))

    def _note_shard_losses(self) -> None:
        for loss in self._replay.take_losses():
            self._faults.count(shard_deaths=1, transitions_lost=loss.transitions)
            self._run.display.say(
                f"Replay shard {loss.shard} died and came back without its last {loss.transitions} transitions."
            )
        if self._env_steps >= self._config.steps and not self._replay.size:
            # All is lost, and no env steps are left that would bring something to learn from: take the last ones anew.
            lost = min(CALL_STEPS, self._env_steps)
            self._env_steps = self._env_steps_begun = self._env_steps - lost
            self._faults.count(env_steps_lost=lost)

    def _replace_learner(self, error: RayError) -> None:
        before = self._learner_steps
        while True:
            self._note_death("learner", error, "from the newest checkpoint")
            self._learner.kill()
            try:
                self._learner = LearnerActor(self._config, self._run.spaces)
                self._learner.connect(self._replay.shards)
                self._learner_steps = self._learner_steps_begun = self._restore_learner()
                break
            except RayError as another:
                error = another
        self._faults.count(updates_lost=max(0, before - self._learner_steps))
        self._weights = self._learner.weights_later()
        self._version += 1

    def _restore_learner(self) -> int:
        """Returns the learner step of the newest checkpoint, or 0 where there is none."""
        newest = load_newest(self._run.directory.checkpoints, lambda replay: None, self._run.display.say)
        if newest is None:
            return 0
        checkpoint, _ = newest
        return self._learner.restore(LearnerState(checkpoint.arrays, checkpoint.values["learner"]))

    def _ask_learner(self, ask: Callable[[LearnerActor], Answer]) -> Answer:
        """The answer of the learner, or of the one that takes its place."""
        while True:
            try:
                return ask(self._learner)
            except RayError as error:
                if not actors.is_loss(error):
                    raise
                self._replace_learner(error)

    def _refresh_weights(self) -> None:
        def ask(learner: LearnerActor) -> Reference:
            weights = learner.weights_later()
            actors.get(weights)
            return weights

        self._weights = self._ask_learner(ask)
        self._version += 1

    def _policy_layers(self) -> Layers:
        """The current policy's weights."""
        try:
            return actors.get(self._weights)  # type: ignore[no-any-return]
        except RayError:
            self._refresh_weights()
            return self._policy_layers()

    # State

    def _save(self) -> None:
        self._drain()
        with self._run.pause_training_clock():
            state = self._ask_learner(LearnerActor.state)
            values = {
                "learner": state.values,
                "time": self._time,
                "generation": self._generation,
                "faults": self._faults.state(),
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
        self._time, self._generation = values["time"], values["generation"] + 1
        self._faults.restore(values["faults"])
        self._policy_distance = float("nan") if values["policy_distance"] is None else values["policy_distance"]
        self._metrics.restore(values["metrics"])
