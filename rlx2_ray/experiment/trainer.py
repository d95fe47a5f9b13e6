"""What trainers share that have a member and its learner at hand: milestones, checkpoints and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rlx2_ray.agents.learner import LearnerState
from rlx2_ray.experiment.base_member import BaseMember
from rlx2_ray.experiment.evaluation import Evaluation
from rlx2_ray.experiment.interruption import StopAsked
from rlx2_ray.experiment.owed import Owed
from rlx2_ray.experiment.run import Run, Training
from rlx2_ray.networks.policy import ActingPolicy, NoiseFreePolicy, make_evaluation_policy, make_network
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.types import RunFailed


class TrainedLearner(Protocol):
    """What a learner is asked for between its updates."""

    learner_steps: int

    def metrics(self) -> dict[str, float]: ...

    def acting_policy(self) -> ActingPolicy: ...

    def evaluated_policy(self) -> NoiseFreePolicy: ...

    def evaluated_weights(self) -> PolicyWeights: ...

    def state(self) -> LearnerState: ...

    def restore(self, state: LearnerState) -> None: ...


class BaseTrainer:
    def __init__(self, run: Run, member: BaseMember, learner: TrainedLearner) -> None:
        self._run = run
        self._base_member = member
        self._base_learner = learner

    def train(self) -> Training:
        raise NotImplementedError

    def close(self) -> None:
        self._base_member.close()

    def to_the_end(self, resume: bool) -> Training:
        """Train, from the newest checkpoint where `resume`, and close."""
        try:
            if resume:
                self.restore()
            return (yield from self.train())
        finally:
            self.close()

    def _meet_milestones(self, acting: Callable[[], NoiseFreePolicy]) -> None:
        """Do what is due after an env step and its updates; `acting` gives the policy of the moment."""
        member = self._base_member
        member.check_capacity_if_due(acting)
        self._evaluate_if_due()
        if member.checkpoint_is_due():
            with self._run.pause_training_clock():
                self._save()
        member.advance()

    def _evaluate_if_due(self) -> None:
        if self._base_member.evaluation_is_due():
            with self._run.pause_training_clock():
                self._evaluate()

    def _evaluate(self) -> None:
        member, learner = self._base_member, self._base_learner
        evaluation = self._play(learner.evaluated_policy(), member.env_steps)
        metrics = learner.metrics() | member.metrics()
        policy = learner.evaluated_weights()
        self._run.record(member.env_steps, learner.learner_steps, evaluation, policy, metrics)

    def _play(self, policy: NoiseFreePolicy, env_steps: int) -> Evaluation:
        try:
            return self._base_member.evaluate(policy, env_steps)
        except RunFailed:
            self._save()
            raise
        except StopAsked:
            self._run.check_interrupted(self._save)  # which raises
            raise

    def _settle(self, owed: Owed) -> None:
        """Play the evaluation that is owed since the checkpoint was written."""
        with self._run.pause_training_clock():
            policy = make_evaluation_policy(self._run.config.algo, make_network(owed.policy))
            self._record_owed(owed, self._play(policy, owed.env_steps))

    def _record_owed(self, owed: Owed, evaluation: Evaluation) -> None:
        self._base_member.owed = None
        self._run.record(owed.env_steps, owed.learner_steps, evaluation, owed.policy, owed.metrics)

    def _save(self) -> None:
        self._base_member.save(self._base_learner.state())

    def restore(self) -> None:
        """Go on from the newest good checkpoint, or from the beginning where there is none."""
        state = self._base_member.restore()
        if state is None:
            return
        self._base_learner.restore(state)
        if self._base_member.owed is not None:
            self._settle(self._base_member.owed)
        self._evaluate_if_due()  # where the run failed in the evaluation that belongs to this very step
