"""The inline runtime: everything in one process, deterministic and resumable to the bit."""

from __future__ import annotations

from rlx2_ray.agents.reached import reached_plan
from rlx2_ray.experiment.member import Member
from rlx2_ray.experiment.predecessors import make_run_learner
from rlx2_ray.experiment.rollout import finished_returns
from rlx2_ray.experiment.run import Run, Training
from rlx2_ray.experiment.trainer import BaseTrainer
from rlx2_ray.networks.moments import Moments
from rlx2_ray.types import RunFailed


def train_inline(run: Run, resume: bool) -> Training:
    """Train to the end. Raises RunFailed or Interrupted, a checkpoint kept."""
    return (yield from InlineTrainer(run).to_the_end(resume))


class InlineTrainer(BaseTrainer):
    """One member and its learner, in turns: an env step, the updates that are due, what the milestones ask for."""

    def __init__(self, run: Run) -> None:
        self._member = Member(run)
        self._learner = make_run_learner(run.config, run.spaces)
        self._policy = self._learner.acting_policy()
        super().__init__(run, self._member, self._learner)

    def train(self) -> Training:
        member, run = self._member, self._run
        while not member.is_finished:
            run.check_interrupted(self._save)
            self._collect()
            self._learn()
            self._meet_milestones(lambda: self._policy)
            yield from run.take_new_points()
        plan = reached_plan(run.config, run.spaces, self._learner.state)
        policy = self._learner.evaluated_weights()
        return run.finish(member.env_steps, self._learner.learner_steps, policy, plan)

    def _collect(self) -> None:
        try:
            fragments = self._member.collect(self._policy)
        except RunFailed:
            self._save()  # the lane refused the step, so all is as it was before
            raise
        config, learner = self._run.config, self._learner
        if config.agent.normalize_observations:
            for fragment in fragments:
                learner.observe(Moments.of(fragment.observations[:-1]))
        if config.topology.hold:
            learner.returns = learner.returns.joined(finished_returns(fragments), config.topology.hold_episodes)

    def _learn(self) -> None:
        learner, due = self._learner, self._member.updates_due
        while learner.learner_steps < due:
            learner.update(self._member.sample(learner.learner_steps))
            if self._run.config.device != "cpu":
                self._policy = learner.acting_policy()

    def restore(self) -> None:
        super().restore()
        self._policy = self._learner.acting_policy()
