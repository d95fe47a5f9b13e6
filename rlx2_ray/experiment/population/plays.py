"""Evaluations that processes play while training goes on: who plays which episode, and what came of it.

Episodes go out one by one, so that all processes are at work until the last one, and come back in any order. What an
evaluation comes to depends on neither.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple, Protocol

from rlx2_ray.experiment.evaluation import Evaluation, evaluation_of
from rlx2_ray.experiment.population.playing import Game, Outcome
from rlx2_ray.types import RunFailed

AHEAD = 2  # episodes that a process has: one to play, and the next


class Play:
    """What comes of one evaluation."""

    def __init__(self, game: Game, give_up: Callable[[Play], None]) -> None:
        self.game = game
        self._give_up = give_up
        self._outcomes: dict[int, Outcome] = {}  # by number of the episode

    def take(self, episode: int, outcome: Outcome) -> None:
        self._outcomes[episode] = outcome

    @property
    def is_over(self) -> bool:
        """Whether all have been played that would be if each were played after the other: up to one that failed."""
        return all(episode in self._outcomes for episode in self._sequence())

    def _sequence(self) -> Iterator[int]:
        game = self.game
        for episode in range(game.first_episode, game.first_episode + game.episodes):
            yield episode
            outcome = self._outcomes.get(episode)
            if outcome is not None and outcome.failure:
                return

    def evaluation(self) -> Evaluation:
        """Raises RunFailed where the environment failed."""
        self.abandon()
        outcomes = [self._outcomes[episode] for episode in self._sequence()]
        if outcomes[-1].failure:
            raise RunFailed(outcomes[-1].failure)
        played = [outcome.played for outcome in outcomes if outcome.played is not None]
        return evaluation_of(played, sum(outcome.seconds for outcome in outcomes), outcomes[-1].limit)

    def abandon(self) -> None:
        """Have nothing more of it played."""
        self._give_up(self)


class Task(NamedTuple):
    """An episode that is to be played."""

    ticket: int
    play: Play
    episode: int


class Player(Protocol):
    """A process."""

    tasks: deque[Task]  # that it has, in the order in which it plays them

    def give(self, task: Task) -> None: ...

    def drop(self, tasks: Sequence[Task]) -> None: ...


class Plays:
    """Deals out the episodes of all evaluations, the oldest first."""

    def __init__(self, players: Sequence[Player]) -> None:
        self._players = players
        self._waiting: deque[Task] = deque()
        self._tickets = count()

    def begin(self, game: Game) -> Play:
        play = Play(game, self._give_up)
        for episode in range(game.first_episode, game.first_episode + game.episodes):
            self._waiting.append(Task(next(self._tickets), play, episode))
        self.deal()
        return play

    def deal(self) -> None:
        for most in range(AHEAD):
            for player in self._players:
                if self._waiting and len(player.tasks) <= most:
                    player.give(self._waiting.popleft())

    def _give_up(self, play: Play) -> None:
        self._waiting = deque(task for task in self._waiting if task.play is not play)
        for player in self._players:
            tasks = [task for task in player.tasks if task.play is play]
            if tasks:
                player.drop(tasks)
        self.deal()
