"""The steps of all members at once: actions by one pass of all policies, environments beside each other, one update.

A large population has two parts that take turns: while the environments of one take their step, the other learns from
its latest. Each member still acts by the policy of all its updates so far, and update k sees all transitions up to k:
it is the order among members alone that the parts change. Which members are in which part follows from slots.

A member that is not at work (it is evaluated, or there is none) leaves its slot at rest. What a member comes to does
not depend on when the others rest, fail or end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.agents.population.population import Population
from rlx2_ray.agents.population.replay import Transitions
from rlx2_ray.agents.population.shapes import Shapes
from rlx2_ray.experiment.population.lanes import Physics
from rlx2_ray.experiment.population.member import SlotMember
from rlx2_ray.types import Floats

SPLIT_FROM = 64  # slots; an update of half of fewer takes nearly as long as one of all


class Part:
    """Slots whose members step at the same time, and learn at the same time."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.members: dict[int, SlotMember] = {}
        self._stepped: list[SlotMember] = []
        self._observations = np.zeros((population.slots, population.shapes.observation_size), np.float32)

    @property
    def free_slots(self) -> list[int]:
        return [slot for slot in range(self.population.slots) if slot not in self.population.members]

    def begin_steps(self, members: Sequence[SlotMember]) -> None:
        outputs = self._outputs(members)
        for member in members:
            member.begin_step(outputs[member.slot])
        self._stepped = list(members)

    def finish_steps(self) -> None:
        members = self._stepped
        taken = {member.slot: fields for member in members if (fields := member.finish_step()) is not None}
        if taken:
            self.population.replays.insert(_join(taken))

    def learn(self) -> None:
        """The updates that are due after the latest step, but for who has left meanwhile."""
        members = [member for member in self._stepped if self.members.get(member.slot) is member]
        members = [member for member in members if member.failure is None]
        due = {member.slot: member.updates_due for member in members}
        while behind := [each.learner for each in members if each.learner.learner_steps < due[each.slot]]:
            self.population.update(behind)
        self._stepped = []

    def _outputs(self, members: Sequence[SlotMember]) -> Floats:
        """Of every policy at its member's observation; of none while chance acts for all."""
        if not any(member.is_warm for member in members):
            return np.zeros((self.population.slots, self.population.shapes.policy[-1][0]), np.float32)
        for member in members:
            self._observations[member.slot] = member.lane.observation
        return self.population.outputs(self._observations)


class Lockstep:
    def __init__(self, shapes: Shapes, slots: int, rows: int, device: str, physics: Physics) -> None:
        """`rows`: of each slot's replay, to begin with."""
        sizes = [slots] if slots < SPLIT_FROM else [slots - slots // 2, slots // 2]
        self._parts = [Part(Population(shapes, size, rows, device)) for size in sizes]
        self.physics = physics

    @property
    def members(self) -> list[SlotMember]:
        return [member for part in self._parts for member in part.members.values()]

    @property
    def has_room(self) -> bool:
        return any(part.free_slots for part in self._parts)

    def free_place(self) -> tuple[Part, int]:
        """A slot where most are free."""
        part = max(self._parts, key=lambda each: len(each.free_slots))
        return part, part.free_slots[0]

    @property
    def ready(self) -> list[SlotMember]:
        """Those whose turn is next; all their updates are done, so that each may go on by itself before."""
        return list(self._parts[0].members.values())

    def turn(self, members: Sequence[SlotMember]) -> None:
        """One env step of these, who are ready, and meanwhile the updates of those who had the turn before."""
        part = self._parts.pop(0)
        self._parts.append(part)
        part.begin_steps(members)
        self.physics.send_steps()
        if len(self._parts) > 1:
            self._parts[0].learn()
        part.finish_steps()
        if len(self._parts) == 1:
            part.learn()


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
