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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from ray.exceptions import RayError

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.agents.reached import reached_plan
from rlx2_ray.config import updates_due
from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import Crew, EvaluatorActor, Learning, RolloutActor
from rlx2_ray.distributed.cluster import Unreachable, check_own_ray, ray_of
from rlx2_ray.distributed.faults import Faults
from rlx2_ray.distributed.learner_seat import LearnerSeat
from rlx2_ray.distributed.learner_worker import Learned
from rlx2_ray.distributed.metric_means import MetricMeans
from rlx2_ray.distributed.patience import ANSWER_S, STOP_S, TICK_S, Patience, Wait, unanswered
from rlx2_ray.distributed.rate_limiter import make_rate_limiter
from rlx2_ray.distributed.rollout_worker import Collected
from rlx2_ray.distributed.sharded_replay import ShardedReplay
from rlx2_ray.distributed.tasks import Task, Tasks
from rlx2_ray.experiment.capacity_check import check_capacity
from rlx2_ray.experiment.evaluation import Evaluation
from rlx2_ray.experiment.interruption import StopAsked
from rlx2_ray.experiment.milestones import Milestones
from rlx2_ray.experiment.run import Run, Training
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.runs.parts import Point
from rlx2_ray.types import BadInput, RunFailed

CALL_STEPS = 32  # env steps of one call to a rollout, for each of its lanes
CALL_UPDATES = 64  # of one call to the learner, at most
GOES_ON = "'rlx2 resume {}' goes on from the last checkpoint."
MAX_EVALUATIONS = 2  # waiting; beyond it training waits for the evaluator


def train_on_actors(run: Run, resume: bool) -> Training:
    """Train to the end. Raises RunFailed or Interrupted, a checkpoint kept."""
    with ray_of(run.config.runtime, [run.directory.path], [each.path for each in run.config.plugins]):
        try:
            with Crew() as crew:
                return (yield from Supervisor(crew, run, resume).train())
        except StopAsked:
            run.end_unsaved()
            raise
        except Unreachable as error:
            raise RunFailed(f"{error}: {GOES_ON.format(run.directory.path)}") from None
        except RayError as error:
            cause = actors.root_cause(error)
            if isinstance(cause, RunFailed | BadInput):
                raise cause from None
            if actors.is_loss(error):
                raise RunFailed(f"{actors.describe_death(cause)}: {GOES_ON.format(run.directory.path)}") from None
            raise


@dataclass
class Counters:
    """What a run on actors counts beside its updates; `time` and `generation` as in its checkpoints."""

    env_steps: int = 0  # done
    time: int = 0  # env steps begun, with those that were lost and taken again
    generation: int = 0  # of the rollouts that are made next


class Supervisor:
    def __init__(self, crew: Crew, run: Run, resume: bool) -> None:
        self._crew = crew
        self._run = run
        self._config = config = run.config
        runtime = config.runtime
        self._counters = Counters()
        self._milestones = Milestones(config)
        self._metrics = MetricMeans()
        self._faults = Faults()
        self._wait = Wait(run.display.say)
        self._tasks = Tasks(self._wait.done, self._faults.note_success, before_failure=self._save)
        patience = Patience(run.display.say, run.stop_is_wished)
        self._learner = LearnerSeat(crew, run, self._faults, patience, self._note_learner_death)
        node = self._learner.node() if runtime.shard_placement == "near" else None
        self._replay = ShardedReplay(crew, config, run.spaces, run.directory.checkpoints, node, patience)
        self._learner.connect(self._replay.shards)
        self._evaluator = EvaluatorActor(crew, config)
        ahead = CALL_STEPS * runtime.rollout_actors * runtime.envs_per_rollout
        self._limiter = make_rate_limiter(config, env_steps_tolerance=ahead + 2 * CALL_UPDATES)
        if resume:
            self._restore()
        self._learner.begin()
        per_rollout = runtime.envs_per_rollout
        self._idle = deque(
            self._make_rollout(range(index * per_rollout, (index + 1) * per_rollout))
            for index in range(runtime.rollout_actors)
        )

    def _make_rollout(self, lanes: Sequence[int]) -> RolloutActor:
        shards = dict(enumerate(self._replay.shards))
        return RolloutActor(self._crew, self._config, lanes, shards, self._counters.generation)

    def train(self) -> Training:
        while True:
            yield from self._work()
            self._save()
            policy = self._learner.evaluated_weights()
            plan = reached_plan(self._config, self._run.spaces, self._learner.state)
            if self._is_finished():  # not if the learner has just died
                done = self._counters.env_steps, self._learner.learner_steps
                return self._run.finish(*done, policy, plan, self._faults.state())

    def _work(self) -> Iterator[Point]:
        while not self._is_finished():
            self._run.check_interrupted(self._save_in_time)
            self._start_tasks()
            self._take_what_is_done()
            self._reach_milestones()
            self._note_shard_losses()
            self._run.advance(self._counters.env_steps, self._replay.size, self._milestones.policy_distance)
            yield from self._run.take_new_points()

    def _is_finished(self) -> bool:
        return self._run.ended_early or (
            not self._tasks
            and self._counters.env_steps >= self._config.steps
            and self._learner.learner_steps >= self._config.planned_updates
            and self._milestones.are_all_evaluated
        )

    # Work is handed out, and what to do with it when it is done.

    def _start_tasks(self) -> None:
        if self._tasks.kinds().count("evaluator") >= MAX_EVALUATIONS:
            return
        while self._idle and self._steps_to_begin() > 0:
            self._start_collect(self._idle.popleft())
        ahead = self._tasks.updates
        updates = self._limiter.updates_allowed(self._counters.env_steps, self._learner.learner_steps + ahead)
        # A full call waits beside the one in progress, so that the learner need not wait for this loop.
        is_wanted = updates > 0 if not ahead else ahead <= CALL_UPDATES <= updates
        if is_wanted and self._replay.size:
            self._start_learn(min(updates, CALL_UPDATES))

    @property
    def _env_steps_begun(self) -> int:
        return self._counters.env_steps + self._tasks.env_steps

    def _steps_to_begin(self) -> int:
        """Of the next call to a rollout; 0 where it would run ahead or the run has its steps."""
        begun = self._env_steps_begun
        if self._replay.size and not self._limiter.may_collect(begun, self._learner.learner_steps):
            return 0
        warmup = self._config.agent.warmup_steps
        end = warmup if begun < warmup else self._config.steps  # a call is all random or not at all
        return min(CALL_STEPS * self._config.runtime.envs_per_rollout, end - begun)

    def _start_collect(self, rollout: RolloutActor) -> None:
        steps = self._steps_to_begin()
        weights = self._learner.weights if self._env_steps_begun >= self._config.agent.warmup_steps else None
        reference = rollout.collect_later(steps, self._counters.time, self._learner.version, weights)
        self._counters.time += steps

        def handle(collected: Collected) -> None:
            self._idle.append(rollout)
            self._counters.env_steps += collected.env_steps
            self._replay.note(collected.statuses)
            self._learner.note(collected.observed, collected.returns)

        lose = partial(self._replace_rollout, rollout, steps)
        self._tasks.add(reference, Task("rollout", handle, lose, rollout.kill, env_steps=steps))

    def _start_learn(self, updates: int) -> None:
        learning = self._learner.learn(updates, self._replay.sizes)
        handle = partial(self._take_in_updates, learning)
        self._tasks.add(learning.learned, Task("learner", handle, self._learner.replace, updates=updates))

    def _take_in_updates(self, learning: Learning, learned: Learned) -> None:
        self._learner.take_in(learned, learning)
        self._metrics.add(learned.metrics)
        if learned.undone:
            self._replay.refresh()  # a shard has less than it was thought to have

    def _start_evaluation(self, env_steps: int) -> None:
        learner_steps = self._learner.learner_steps
        metrics = {
            **self._metrics.take(),
            "replay/size": float(self._replay.size),
            "replay/policy_distance": self._milestones.policy_distance,
            "actors/updates_undone": float(self._limiter.updates_allowed(self._counters.env_steps, learner_steps)),
            **self._faults.metrics(),
        }
        self._evaluate(env_steps, learner_steps, self._learner.evaluated_weights(), metrics)
        self._milestones.evaluated = env_steps

    def _evaluate(self, env_steps: int, learner_steps: int, policy: PolicyWeights, metrics: dict[str, float]) -> None:
        evaluator = self._evaluator
        reference = evaluator.evaluate_later(env_steps, policy)

        def handle(evaluation: Evaluation) -> None:
            self._run.record(env_steps, learner_steps, evaluation, policy, metrics)

        def lose(error: RayError) -> None:
            self._replace_evaluator(evaluator, error)
            self._evaluate(env_steps, learner_steps, policy, metrics)

        self._tasks.add(reference, Task("evaluator", handle, lose, evaluator.kill))

    def _take_what_is_done(self) -> None:
        """Take in what is done, and say what is awaited. Raises RunFailed where that will not come."""
        self._tasks.take_what_is_done(TICK_S)
        kinds = sorted(set(self._tasks.kinds()))
        if not kinds or self._wait.seconds < 2 * TICK_S:
            return
        check_own_ray()
        self._wait.say_stalled(", ".join(kinds))
        if kinds == ["learner"] and self._wait.seconds > ANSWER_S:  # the others may have slow environments
            raise unanswered("learner", ANSWER_S)

    def _reach_milestones(self) -> None:
        if self._milestones.reaches_check(self._counters.env_steps):
            self._check_capacity()
        self._start_due_evaluations()
        if self._milestones.reaches_checkpoint(self._counters.env_steps):
            self._save()

    def _start_due_evaluations(self) -> None:
        """An evaluation of env step m sees the policy after all updates due at m, as inline."""
        agent, milestones = self._config.agent, self._milestones
        while not milestones.are_all_evaluated:
            following = milestones.next_evaluation
            due = updates_due(following, agent.warmup_steps, agent.updates_per_env_step)
            if self._counters.env_steps < following or self._learner.learner_steps < due:
                return
            self._start_evaluation(following)

    def _check_capacity(self) -> None:
        capacity = self._config.replay.max_capacity
        self._replay.evict_before(self._counters.time - capacity)  # where no rollout writes, too
        policy = make_evaluation_policy(self._config.algo, make_network(self._learner.policy_weights()))
        self._milestones.policy_distance = check_capacity(self._replay, policy, self._config.replay)

    # What died is replaced.

    def _note_death(self, kind: str, error: RayError, consequence: str) -> None:
        """Raises RunFailed where actors of this kind do nothing but die."""
        self._run.display.say(f"The {kind} died; another takes its place, {consequence}.")
        self._faults.note_death(kind, actors.describe_death(actors.root_cause(error)))

    def _note_learner_death(self, error: RayError) -> None:
        self._note_death("learner", error, "from the newest checkpoint")
        self._tasks.forget("learner")  # of its other calls nothing will come

    def _replace_rollout(self, rollout: RolloutActor, steps: int, error: RayError) -> None:
        self._faults.count(env_steps_lost=steps)
        self._note_death("rollout", error, f"its last {steps} env steps are taken anew")
        rollout.kill()
        self._counters.generation += 1
        self._idle.append(self._make_rollout(rollout.lanes))
        self._learner.refresh_weights()  # they may be what was lost

    def _replace_evaluator(self, evaluator: EvaluatorActor, error: RayError) -> None:
        """Not where another of its evaluations was lost before, and it has been replaced."""
        if evaluator is self._evaluator:
            self._note_death("evaluator", error, "its evaluation is made anew")
            evaluator.kill()
            self._evaluator = EvaluatorActor(self._crew, self._config)

    def _note_shard_losses(self) -> None:
        for loss in self._replay.take_losses():
            self._faults.count(shard_deaths=1, transitions_lost=loss.transitions)
            self._run.display.say(
                f"Replay shard {loss.shard} died and came back without its last {loss.transitions} transitions."
            )
        counters = self._counters
        if counters.env_steps >= self._config.steps and not self._replay.size:
            # All is lost, and no env steps are left that would bring something to learn from: take the last ones anew.
            lost = min(CALL_STEPS, counters.env_steps)
            counters.env_steps -= lost
            self._faults.count(env_steps_lost=lost)

    # State

    def _save_in_time(self) -> None:
        """Save soon, as the user wants to stop, without what would take longer. Raises StopAsked where that fails."""
        deadline = time.monotonic() + STOP_S
        while self._tasks and time.monotonic() < deadline:
            self._take_what_is_done()
        self._tasks.abandon()  # the env steps are taken anew, and the evaluation is made anew
        if self._tasks:
            raise StopAsked
        self._replay.refresh()  # do they answer?
        self._save()

    def _save(self) -> None:
        while self._tasks:
            self._take_what_is_done()
            if self._tasks:
                self._run.check_interrupted(self._save_in_time)
        with self._run.pause_training_clock():
            state = self._learner.state()
            values = {
                **asdict(self._counters),
                "learner": state.values,
                "faults": self._faults.state(),
                "metrics": self._metrics.state(),
                **self._milestones.state(),
            }
            self._run.save_checkpoint(self._counters.env_steps, state.arrays, values, self._replay.save)

    def _restore(self) -> None:
        loaded = self._run.load_checkpoint(self._replay.load)
        if loaded is None:
            return
        checkpoint, _ = loaded
        values = checkpoint.values
        self._counters = Counters(values["env_steps"], values["time"], values["generation"] + 1)
        self._milestones.restore(values, self._counters.env_steps, self._run.last_evaluated)
        self._learner.restore(LearnerState(checkpoint.arrays, values["learner"]))
        self._faults.restore(values["faults"])
        self._metrics.restore(values["metrics"])
