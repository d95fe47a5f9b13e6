"""The training of one member, from one point to the next, as a generator that hands over where all step at once.

So a member is a run like any other to everything around it (`experiment/session.py`): who drives a population has one
such generator for each of its members, and lets them take turns.
"""

from __future__ import annotations

from collections.abc import Generator

from rlx2_ray.agents.reached import reached_plan
from rlx2_ray.experiment import deployed
from rlx2_ray.experiment.evaluation import STREAM, Evaluation, check_sizes
from rlx2_ray.experiment.owed import Owed
from rlx2_ray.experiment.population.lockstep import Lockstep
from rlx2_ray.experiment.population.member import SlotMember
from rlx2_ray.experiment.population.playing import Game
from rlx2_ray.experiment.run import Run, Training, check_convergence
from rlx2_ray.experiment.session import Train
from rlx2_ray.experiment.trainer import BaseTrainer
from rlx2_ray.runs.parts import Point
from rlx2_ray.types import RunFailed

TURN: Point = {}  # no point, but: step the member unless it rests, then go on when it is ready and needs attention


def train_in_slot(lockstep: Lockstep, goes_on: bool) -> Train:
    """Trains a run in a free slot, which is free again at the end. `goes_on`: also while it is evaluated."""

    def train(run: Run, resume: bool) -> Training:
        return (yield from SlotTrainer(run, lockstep, goes_on).to_the_end(resume))

    return train


class SlotTrainer(BaseTrainer):
    def __init__(self, run: Run, lockstep: Lockstep, goes_on: bool) -> None:
        self._physics = lockstep.physics
        self._part, slot = lockstep.free_place()
        self._member = SlotMember(run, self._part.population, slot, self._physics, goes_on)
        self._part.members[slot] = self._member
        super().__init__(run, self._member, self._member.learner)

    def close(self) -> None:
        self._part.members.pop(self._member.slot)
        super().close()

    def train(self) -> Training:
        member, run = self._member, self._run
        while not member.is_finished or member.owed is not None:
            run.check_interrupted(self._save)
            member.work()
            yield from self._turn()
            if member.failure is not None:
                self._save()  # the lane refused the step, so all is as it was before
                raise member.failure
            self._meet_milestones(member.learner.acting_policy)
            yield from run.take_new_points()
        played = yield from self._play_deployed()
        learner = member.learner
        plan = reached_plan(run.config, run.spaces, learner.state)
        return run.finish(member.env_steps, learner.learner_steps, learner.evaluated_weights(), plan, played=played)

    def _turn(self) -> Generator[Point, None, None]:
        if not self._member.rests:
            yield TURN
            return
        with self._run.pause_training_clock():
            yield TURN

    def _evaluate_if_due(self) -> None:
        play, owed = self._member.play, self._member.owed
        if play is not None and owed is not None and play.is_over:
            self._record_owed(owed, self._evaluation_of(play_of=owed))
        super()._evaluate_if_due()

    def _evaluation_of(self, play_of: Owed) -> Evaluation:
        play = self._member.play
        assert play is not None
        self._member.play = None
        try:
            return play.evaluation()
        except RunFailed as failure:
            self._save()
            raise RunFailed(f"At env step {play_of.env_steps}: {failure}") from None

    def _evaluate(self) -> None:
        if not self._physics.plays:
            super()._evaluate()
            return
        member, learner, run = self._member, self._member.learner, self._run
        moment = member.env_steps, learner.learner_steps
        metrics = learner.metrics() | member.metrics()
        check_convergence(*moment, metrics)
        member.owed = Owed.at(*moment, learner.evaluated_weights(), metrics | run.rates(*moment))
        member.milestones.evaluated = member.env_steps
        self._settle(member.owed)

    def _settle(self, owed: Owed) -> None:
        if not self._physics.plays:
            super()._settle(owed)
            return
        config = self._run.config
        game = Game(config, owed.policy, STREAM, owed.env_steps, config.evaluation.episodes)
        self._member.play = self._physics.play(game)

    def _play_deployed(self) -> Generator[Point, None, Evaluation | None]:
        """The policy of the best evaluation, where its evaluations are played elsewhere."""
        run, member = self._run, self._member
        config = run.config
        policy = deployed.load_deployed(config, run.directory) if self._physics.plays else None
        if policy is None:
            return None
        check_sizes(run.directory.best_policy_file, policy.spaces, run.spaces, config.env.id)
        game = Game(config, policy.weights, deployed.STREAM, 0, config.evaluation.deployed_episodes)
        with deployed.again(), run.pause_training_clock():
            play = member.play = self._physics.play(game)
            while not play.is_over:
                yield TURN
                run.check_interrupted(lambda: None)
            member.play = None
            return play.evaluation()
