"""The steps of all members at once: actions by one pass of all policies, environments beside each other, one update.

A member that is not at work (it is evaluated, or there is none) leaves its slot at rest. What a member comes to does
not depend on when the others rest, fail or end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.agents.population.population import Population
from rlx2_ray.agents.population.replay import Transitions
from rlx2_ray.experiment.population.member import SlotMember
from rlx2_ray.types import Floats


class Lockstep:
    def __init__(self, population: Population) -> None:
        self.population = population
        self.members: dict[int, SlotMember] = {}
        shapes = population.shapes
        self._observations = np.zeros((population.slots, shapes.observation_size), np.float32)

    @property
    def free_slots(self) -> list[int]:
        return [slot for slot in range(self.population.slots) if slot not in self.population.members]

    def turn(self, members: Sequence[SlotMember]) -> None:
        """One env step of these members, and the updates that are due after it."""
        outputs = self._outputs(members)
        for member in members:
            member.begin_step(outputs[member.slot])
        taken = {member.slot: fields for member in members if (fields := member.finish_step()) is not None}
        if taken:
            self.population.replays.insert(_join(taken))
        self._learn([member for member in members if member.failure is None])

    def _outputs(self, members: Sequence[SlotMember]) -> Floats:
        """Of every policy at its member's observation; of none while chance acts for all."""
        if not any(member.is_warm for member in members):
            return np.zeros((self.population.slots, self.population.shapes.policy[-1][0]), np.float32)
        for member in members:
            self._observations[member.slot] = member.lane.observation
        return self.population.outputs(self._observations)

    def _learn(self, members: Sequence[SlotMember]) -> None:
        due = {member.slot: member.updates_due for member in members}
        while behind := [each.learner for each in members if each.learner.learner_steps < due[each.slot]]:
            self.population.update(behind)


def _join(taken: dict[int, list[object]]) -> Transitions:
    """The fields of each slot's transition, side by side."""
    observations, actions, policy_actions, rewards, nexts, *rest = map(list, zip(*taken.values(), strict=True))
    terminated, truncated, episodes, steps = rest
    return Transitions(
        np.array(list(taken)),
        np.array(observations),
        np.array(actions),
        np.array(policy_actions),
        np.array(rewards, np.float32),
        np.array(nexts),
        np.array(terminated, np.bool_),
        np.array(truncated, np.bool_),
        np.array(episodes, np.int64),
        np.array(steps, np.int64),
    )
