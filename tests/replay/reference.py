"""Replay as explained on a blackboard: lists of episodes of transitions, searched from the front each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from rlx2_ray.types import Floats, Fragment


class Transition(NamedTuple):
    observation: Floats
    action: Floats
    policy_action: Floats
    reward: float
    next_observation: Floats
    time: int


@dataclass
class Episode:
    is_open: bool = True
    is_terminated: bool = False
    transitions: list[Transition] = field(default_factory=list)


class Window(NamedTuple):
    observation: Floats
    action: Floats
    rewards: list[float]
    next_observations: list[Floats]
    terminated: bool


class ReferenceBuffer:
    def __init__(self, lanes: int, capacity: int) -> None:
        self.lanes: list[list[Episode]] = [[] for _ in range(lanes)]
        self.expected = [(0, 0)] * lanes
        self.capacity = capacity

    def insert(self, fragment: Fragment) -> None:
        episodes, expected = self.lanes[fragment.lane], self.expected[fragment.lane]
        if (fragment.episode, fragment.step) < expected:
            return
        if not self.is_open(fragment.lane) or (fragment.episode, fragment.step) > expected:
            for episode in episodes:
                episode.is_open = False
            episodes.append(Episode())
        episode = episodes[-1]
        self.expected[fragment.lane] = (fragment.episode, fragment.step + len(fragment.rewards))
        for step in range(len(fragment.rewards)):
            episode.transitions.append(_transition(fragment, step))
        episode.is_terminated = fragment.terminated
        episode.is_open = not (fragment.terminated or fragment.truncated)
        self.evict_oldest(self.size - self.capacity)

    def transitions(self, lane: int) -> list[Transition]:
        return [transition for episode in self.lanes[lane] for transition in episode.transitions]

    @property
    def size(self) -> int:
        return sum(len(self.transitions(lane)) for lane in range(len(self.lanes)))

    def is_open(self, lane: int) -> bool:
        return any(episode.is_open for episode in self.lanes[lane])

    def oldest(self, count: int) -> list[Transition]:
        everything = [transition for lane in range(len(self.lanes)) for transition in self.transitions(lane)]
        return sorted(everything, key=lambda transition: transition.time)[:count]

    def evict_before(self, time: int) -> None:
        self.evict_oldest(sum(transition.time < time for transition in self.oldest(self.size)))

    def evict_oldest(self, count: int) -> None:
        for _ in range(min(count, self.size)):
            candidates = [episode for episodes in self.lanes for episode in episodes if episode.transitions]
            min(candidates, key=lambda episode: episode.transitions[0].time).transitions.pop(0)

    def windows(self, lane: int, n_step: int) -> list[Window]:
        """The window of every start of `lane`, oldest first."""
        return [
            _window(episode, start, n_step) for episode in self.lanes[lane] for start in range(len(episode.transitions))
        ]


def _transition(fragment: Fragment, step: int) -> Transition:
    return Transition(
        fragment.observations[step],
        fragment.actions[step],
        fragment.policy_actions[step],
        float(fragment.rewards[step]),
        fragment.observations[step + 1],
        fragment.time + step,
    )


def _window(episode: Episode, start: int, n_step: int) -> Window:
    steps = episode.transitions[start : start + n_step]
    is_last = start + n_step >= len(episode.transitions)
    return Window(
        steps[0].observation,
        steps[0].action,
        [step.reward for step in steps],
        [step.next_observation for step in steps],
        terminated=is_last and episode.is_terminated,
    )
