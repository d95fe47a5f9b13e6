"""A process that steps environments for another, and the memory that both share.

Of each environment a record holds the action that it is to take and what came of it. Words about it go over a socket, a
message for all that are to step at once. While there is none, the process plays episodes of evaluations, a step at a
time. It imports what environments need, neither torch nor Ray, and ends with the one that it works for.
"""

from __future__ import annotations

import mmap
import select
import signal
from collections import deque
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlx2_ray import plugins
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs import modules
from rlx2_ray.envs.lane import EnvironmentFailed, EnvLane, LaneState
from rlx2_ray.experiment.population.playing import Game, Outcome, Playing
from rlx2_ray.types import BadInput, RunFailed

WAITING, DONE, REFUSED = 0, 1, 2  # what became of a step
NOBODY, PLAYING = -1, -2  # who is at work, where that is no place

Records = NDArray[Any]


class Opened(NamedTuple):
    """A message: make an environment, and put it where it was in `state`, if that is given."""

    place: int
    config: ExperimentConfig
    stream: str
    state: LaneState | None


class Restored(NamedTuple):
    """A message: put an environment where it was."""

    place: int
    state: LaneState


class Stepped(NamedTuple):
    """A message: let the environments at these places take the actions in their records, in this order."""

    places: list[int]


class Closed(NamedTuple):
    """A message."""

    place: int


class Played(NamedTuple):
    """A message: play an episode when there is nothing else to do. What came of it follows later, as `Returned`."""

    ticket: int
    game: Game
    episode: int


class Dropped(NamedTuple):
    """A message: play these no further."""

    tickets: list[int]


class Returned(NamedTuple):
    ticket: int
    outcome: Outcome


class Answer(NamedTuple):
    """To any of them. `failures`: what environments did, by place; `is_same` False: one went another way."""

    failures: dict[int, tuple[type[Exception], str]] = {}
    is_same: bool = True


def make_records(memory: mmap.mmap, places: int, observation_size: int, action_size: int) -> tuple[Records, Records]:
    """Records by place, and (2,) counters of the process.

    The first is the place of the environment that is at work: who is to blame if the process dies. The second is the
    number of steps that it has begun in evaluations: how it is known that it goes on.
    """
    dtype = record_type(observation_size, action_size)
    size = places * dtype.itemsize
    return np.frombuffer(memory, dtype, places), np.frombuffer(memory, np.int64, 2, size)


def memory_bytes(places: int, observation_size: int, action_size: int) -> int:
    return places * record_type(observation_size, action_size).itemsize + 16


def record_type(observation_size: int, action_size: int) -> np.dtype[Any]:
    return np.dtype(
        [
            ("reward", np.float64),
            ("episode_return", np.float64),
            ("episode", np.int64),
            ("episode_steps", np.int64),
            ("observation", np.float32, (observation_size,)),  # what the next action answers
            ("next_observation", np.float32, (observation_size,)),  # the final one where the episode ended
            ("action", np.float32, (action_size,)),
            ("terminated", np.bool_),
            ("truncated", np.bool_),
            ("outcome", np.uint8),
        ],
        align=True,
    )


def main(socket: int, memory: int, places: int, observation_size: int, action_size: int) -> None:
    """Work for whoever is at the other end of a socket, until that ends; the first two are file descriptors."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that this works for
    connection = Connection(socket)
    mapped = mmap.mmap(memory, memory_bytes(places, observation_size, action_size))
    physics = _Physics(*make_records(mapped, places, observation_size, action_size))
    messages = select.poll()
    messages.register(connection.fileno(), select.POLLIN)
    while True:
        try:
            if physics.plays and not messages.poll(0):
                answer: Answer | Returned | None = physics.play()
            else:
                answer = physics.answer(connection.recv())
            if answer is not None:
                connection.send(answer)
        except (EOFError, ConnectionError):
            return


class _Physics:
    def __init__(self, records: Records, at_work: Records) -> None:
        self._records, self._at_work = records, at_work
        self._lanes: dict[int, EnvLane] = {}
        self._games: deque[Played] = deque()
        self._playing = Playing()

    @property
    def plays(self) -> bool:
        """Whether there is an episode to play."""
        return bool(self._games)

    def play(self) -> Returned | None:
        """Take a step of the first episode, which may end it."""
        ticket, game, episode = self._games[0]
        self._at_work[0] = PLAYING
        self._at_work[1] += 1
        outcome = self._playing.step(game, episode)
        self._at_work[0] = NOBODY
        if outcome is None:
            return None
        self._games.popleft()
        return Returned(ticket, outcome)

    def answer(self, message: Opened | Restored | Stepped | Closed | Played | Dropped) -> Answer | None:
        match message:
            case Played():
                self._games.append(message)
                return None
            case Dropped(tickets):
                if self._games and self._games[0].ticket in tickets:
                    self._playing.stop()
                self._games = deque(each for each in self._games if each.ticket not in tickets)
                return Answer()
            case Stepped(places):
                return self._step(places)
            case Closed(place):
                self._lanes.pop(place).close()
                return Answer()
        self._at_work[0] = message.place
        try:
            if isinstance(message, Opened):
                self._open(message)
            state = message.state
            is_same = state is None or self._lanes[message.place].restore(state)
        except (BadInput, RunFailed) as error:
            return Answer({message.place: (type(error), str(error))})
        finally:
            self._at_work[0] = NOBODY
        self._show(message.place)
        return Answer(is_same=is_same)

    def _open(self, message: Opened) -> None:
        config = message.config
        modules.trust_made(config.env, config.plugins)
        plugins.load(config.plugins)
        self._lanes[message.place] = EnvLane(config.env, config.seed, message.stream)

    def _step(self, places: list[int]) -> Answer:
        failures: dict[int, tuple[type[Exception], str]] = {}
        for place in places:
            record, lane = self._records[place], self._lanes[place]
            self._at_work[0] = place
            try:
                step = lane.step(record["action"].copy())
            except EnvironmentFailed as error:
                failures[place] = (EnvironmentFailed, str(error))
                record["outcome"] = REFUSED
            else:
                record["next_observation"], record["reward"] = step.next_observation, step.reward
                record["terminated"], record["truncated"] = step.terminated, step.truncated
                self._show(place)
                record["outcome"] = DONE
            self._at_work[0] = NOBODY
        return Answer(failures)

    def _show(self, place: int) -> None:
        record, lane = self._records[place], self._lanes[place]
        record["observation"], record["episode"] = lane.observation, lane.episode
        record["episode_steps"], record["episode_return"] = lane.episode_steps, lane.episode_return
