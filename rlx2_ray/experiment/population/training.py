"""The training of one member, from one point to the next, as a generator that hands over where all step at once.

So a member is a run like any other to everything around it (`experiment/session.py`): who drives a population has one
such generator for each of its members, and lets them take turns.
"""

from __future__ import annotations

from rlx2_ray.experiment.population.lockstep import Lockstep
from rlx2_ray.experiment.population.member import MakeLane, SlotMember
from rlx2_ray.experiment.run import Run, Training
from rlx2_ray.experiment.session import Train
from rlx2_ray.experiment.trainer import BaseTrainer
from rlx2_ray.runs.parts import Point

TURN: Point = {}  # no point, but: step the member until `needs_attention`, then go on


def train_in_slot(lockstep: Lockstep, make_lane: MakeLane) -> Train:
    """Trains a run in a free slot, which is free again at the end."""

    def train(run: Run, resume: bool) -> Training:
        return (yield from SlotTrainer(run, lockstep, make_lane).to_the_end(resume))

    return train


class SlotTrainer(BaseTrainer):
    def __init__(self, run: Run, lockstep: Lockstep, make_lane: MakeLane) -> None:
        self._lockstep = lockstep
        self._member = SlotMember(run, lockstep.population, lockstep.free_slots[0], make_lane)
        lockstep.members[self._member.slot] = self._member
        super().__init__(run, self._member, self._member.learner)

    def close(self) -> None:
        self._lockstep.members.pop(self._member.slot)
        super().close()

    def train(self) -> Training:
        member, run = self._member, self._run
        while not member.is_finished:
            run.check_interrupted(self._save)
            member.work()
            yield TURN
            if member.failure is not None:
                self._save()  # the lane refused the step, so all is as it was before
                raise member.failure
            self._meet_milestones(member.learner.acting_policy)
            yield from run.take_new_points()
        return run.finish(member.env_steps, member.learner.learner_steps, member.learner.evaluated_weights())
