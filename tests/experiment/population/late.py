"""Physics that plays evaluations in this process, but when a test wants them: results must not depend on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rlx2_ray.experiment.population import arm
from rlx2_ray.experiment.population.lanes import LocalPhysics
from rlx2_ray.experiment.population.playing import Game, Outcome, Playing
from rlx2_ray.experiment.population.plays import Play
from rlx2_ray.types import Spaces


class Late(LocalPhysics):
    plays = True

    def __init__(self, turns: int, on_look: Callable[[int], None] = lambda looks: None) -> None:
        """`turns` of all members between the beginning of an evaluation and its end, unless all wait for it."""
        self._turns, self._on_look, self._looks = turns, on_look, 0
        self._plays: dict[Play, int] = {}

    def play(self, game: Game) -> Play:
        play = Play(game, lambda play: None)
        self._plays[play] = self._looks + self._turns
        return play

    def look(self, seconds: float) -> None:
        self._looks += 1
        self._on_look(self._looks)
        for play, due in list(self._plays.items()):
            if seconds or self._looks >= due:
                del self._plays[play]
                play_all(play)


def play_all(play: Play) -> None:
    """The last episode first."""
    playing, game = Playing(), play.game
    for episode in reversed(range(game.first_episode, game.first_episode + game.episodes)):
        outcome: Outcome | None = None
        while outcome is None:
            outcome = playing.step(game, episode)
        play.take(episode, outcome)
    playing.stop()


def use(late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    """In arms."""

    @contextmanager
    def physics_in(processes: int, lanes: int, spaces: Spaces) -> Iterator[Any]:
        yield late

    monkeypatch.setattr(arm, "physics_in", physics_in)
