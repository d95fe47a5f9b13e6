"""The compression search in Tune's hands, played without Tune: suggestions, completions, failures, restarts."""

from __future__ import annotations

import itertools
import math
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("ray.tune")

from ray.tune.search import Searcher

from rlx2_ray.search.ledger import Request
from rlx2_ray.search.search import Search
from rlx2_ray.sweep.compression.finished_runs import Past
from rlx2_ray.sweep.compression.searcher import CompressSearcher
from tests.search.searches import DENSE, RANDOM, ScoreOf, line_search, noisy, plane_search, play

Restart = Callable[["Game"], None]


def collapses(pair: tuple[float, float]) -> bool:
    return pair[0] > 0.92


class Game:
    """A searcher, and the trials that Tune has for it; those in progress end in the order in which they began."""

    def __init__(
        self,
        score_of: ScoreOf,
        make_search: Callable[[], Search] = line_search,
        concurrency: int = 1,
        done: dict[Request, float] | None = None,
        limit: int = 10**6,
    ) -> None:
        self.score_of = score_of
        self.limit = limit  # runs of the budget
        self.noted: list[Request | None] = []
        self.asked: list[Request] = []
        self.numbers = itertools.count()
        self.trials: dict[str, Request] = {}  # in progress
        self.done = dict(done or {})  # known without a trial
        self.make = lambda: CompressSearcher(
            make_search, concurrency, self.done.get, lambda search: search.runs >= self.limit, self.note
        )
        self.searcher = self.make()

    def note(self, search: Search, request: Request | None) -> None:
        self.noted.append(request)

    def begin(self) -> bool:
        trial_id = f"trial{next(self.numbers)}"
        suggested = self.searcher.suggest(trial_id)
        if suggested is None or suggested == Searcher.FINISHED:
            return False
        request = Request(**suggested)
        self.asked.append(request)
        self.trials[trial_id] = request
        return True

    def end(self) -> None:
        trial_id, request = next(iter(self.trials.items()))
        del self.trials[trial_id]
        score = self.score_of(request)
        if score is None:
            self.searcher.on_trial_complete(trial_id, error=True)
        else:
            self.done[request] = score
            self.searcher.on_trial_complete(trial_id, {"score": score, "done": True, "config": request._asdict()})

    def play(self, restart: Restart = lambda game: None) -> Game:
        while not self.searcher.is_finished or self.trials:
            while self.begin():
                restart(self)
            assert self.trials or self.searcher.is_finished, "neither finished nor anything to do"
            if self.trials:
                self.end()
                restart(self)
        return self

    @property
    def story(self) -> tuple[Any, ...]:
        search = self.searcher.search
        return self.asked, search.tells, search.decisions(), search.ultimate(), search.beliefs

    @property
    def told(self) -> list[Request]:
        return [tell.request for tell in self.searcher.search.tells]


def restart(game: Game) -> None:
    """The driver is killed and resumed: a new searcher, which is told what the one before was told."""
    told, begun = game.searcher.told, game.searcher.requests
    game.searcher = game.make()
    game.searcher.go_on(Past(told, begun))
    asked, game.trials = game.asked[:], {}
    while len(game.trials) < len(begun):  # Tune begins them anew
        assert game.begin()
    game.asked = asked


NOISY: ScoreOf = noisy(collapses, 0.05)
FAILING: ScoreOf = noisy(collapses, 0.05, failures=0.2, seed=3)


def test_finds_what_the_search_finds() -> None:
    game, search = Game(NOISY).play(), line_search()
    play(search, NOISY)
    assert game.searcher.search.ultimate() == search.ultimate()
    assert game.told == game.asked
    assert len(set(game.asked)) == len(game.asked)
    assert game.noted == game.told, "told of every run, once"


def test_nothing_is_suggested_after_the_end() -> None:
    game = Game(NOISY).play()
    assert game.searcher.suggest("more") == Searcher.FINISHED
    assert game.searcher.requests == []


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_no_more_than_so_many_at_a_time(concurrency: int) -> None:
    game = Game(NOISY, lambda: line_search(concurrency=concurrency), concurrency)
    while game.begin():
        pass
    assert len(game.trials) == concurrency == len(game.searcher.requests)
    assert game.searcher.suggest("another") is None


@pytest.mark.parametrize("score_of", [NOISY, FAILING], ids=["no failures", "failures"])
@pytest.mark.parametrize(
    ("make", "concurrency"),
    [(line_search, 1), (line_search, 3), pytest.param(plane_search, 2, marks=pytest.mark.slow)],
)
def test_restart_at_every_point_changes_nothing(
    make: Callable[..., Search], concurrency: int, score_of: ScoreOf
) -> None:
    def make_search() -> Search:
        return make(concurrency=concurrency)

    undisturbed = Game(score_of, make_search, concurrency).play()
    game = Game(score_of, make_search, concurrency).play(restart)
    assert game.story == undisturbed.story
    assert len(set(game.asked)) == len(game.asked), "requests in progress are not asked for twice"


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("lost", [0, 3, 11, -1])
def test_run_whose_result_is_lost_is_done_over_first_and_nothing_changes(lost: int, concurrency: int) -> None:
    def make_search() -> Search:
        return line_search(concurrency=concurrency)

    undisturbed = Game(NOISY, make_search, concurrency).play()
    game = Game(NOISY, make_search, concurrency)
    for _ in range(14):
        while game.begin():
            pass
        game.end()
    request = game.told[lost]
    del game.done[request]
    told, begun = game.searcher.told, game.searcher.requests
    game.searcher, game.trials = game.make(), {}
    game.searcher.go_on(Past(told, begun))
    assert game.searcher.told == told, "a second kill loses nothing"
    assert game.begin()
    assert game.asked[-1] == request
    assert not game.begin(), "nothing else is asked for before it is there"
    game.end()
    game.asked.pop()
    asked = game.asked[:]
    while len(game.trials) < len(begun):
        assert game.begin()
    game.asked = asked
    assert game.play().story == undisturbed.story


def test_pickled_searcher_is_nothing() -> None:
    """Tune pickles it, and that is never read."""
    assert pickle.loads(pickle.dumps(Game(NOISY).searcher)) == ""


# Runs that need no trial


def test_known_runs_need_no_trial() -> None:
    undisturbed = Game(NOISY).play()
    dense = [request for request in undisturbed.asked if request.purpose == "dense"]
    game = Game(NOISY, done={request: NOISY(request) or 0.0 for request in dense}).play()
    assert [request for request in game.asked if request.purpose == "dense"] == []
    assert game.story[1:] == undisturbed.story[1:]


def test_search_of_known_runs_alone_needs_no_trial_at_all() -> None:
    undisturbed = Game(NOISY).play()
    game = Game(NOISY, done={request: NOISY(request) or 0.0 for request in undisturbed.asked})
    assert game.searcher.suggest("first") == Searcher.FINISHED
    assert game.story[1:] == undisturbed.story[1:]


# Failures and ends


def test_failed_trials_are_told_as_failed() -> None:
    game = Game(FAILING).play()
    failed = [tell.request for tell in game.searcher.search.tells if tell.score is None]
    assert failed
    assert failed == [request for request in game.asked if FAILING(request) is None]
    assert game.searcher.failure is None
    assert game.searcher.search.is_finished


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (None, True),
        ({"score": 900.0, "done": True}, True),
        ({"score": 900.0}, False),  # stopped before its end
        ({"score": math.nan, "done": True}, False),
        ({"score": math.inf, "done": True}, False),
    ],
)
def test_what_counts_as_a_failure(result: dict[str, Any] | None, error: bool) -> None:
    game = Game(NOISY)
    game.begin()
    game.searcher.on_trial_complete("trial0", result, error)
    assert [tell.score for tell in game.searcher.search.tells] == [None]


def test_dense_arm_no_better_than_random_ends_it() -> None:
    game = Game(lambda request: RANDOM).play()
    assert len(game.asked) == 8
    assert game.searcher.is_finished
    assert "no better than a random policy's" in str(game.searcher.failure)
    restart(game)
    assert game.searcher.is_finished
    assert "no better than a random policy's" in str(game.searcher.failure), "also after it was resumed"


def test_dense_arm_that_fails_ends_it() -> None:
    game = Game(lambda request: None).play(restart)
    assert len(game.asked) == 5
    assert "5 runs of the dense arm ended in errors" in str(game.searcher.failure)


@pytest.mark.parametrize("limit", [1, 9, 14])
def test_budget_ends_it_with_a_statement(limit: int) -> None:
    game = Game(NOISY, limit=limit).play(restart)
    assert len(game.told) == limit
    assert not game.searcher.search.is_finished
    assert game.searcher.suggest("more") == Searcher.FINISHED
    ultimate = game.searcher.search.ultimate()
    assert ultimate is None or ultimate.verdict == "inconclusive"


def test_trials_in_progress_when_the_budget_is_spent_still_count() -> None:
    game = Game(NOISY, lambda: line_search(concurrency=3), concurrency=3, limit=10).play()
    assert len(game.told) == 10


def test_nothing_accepted() -> None:
    """Every network collapses."""
    game = Game(noisy(lambda pair: pair != (0.0, 0.0), 0.02)).play()
    assert game.searcher.search.ultimate() is None
    assert {decision.verdict for decision in game.searcher.search.decisions()} == {"reject"}


def test_any_order_of_ends_restores() -> None:
    order = random.Random(0)

    def restart_shuffled(game: Game) -> None:
        restart(game)
        trials = list(game.trials.items())
        order.shuffle(trials)
        game.trials = dict(trials)

    game = Game(NOISY, lambda: line_search(concurrency=4), 4).play(restart_shuffled)
    assert sorted(game.told) == sorted(game.asked)
    assert max(tell.score or 0 for tell in game.searcher.search.tells) < 2 * DENSE


def test_score_that_decides_is_what_is_told() -> None:
    """A trial reports both; one that ended without the one that decides has failed, and another takes its place."""
    searcher = CompressSearcher(
        line_search, 1, lambda request: None, lambda search: False, lambda search, request: None, "deployed"
    )
    reported = [{"score": 1.0, "deployed": 70.0}, {"score": 2.0, "deployed": math.nan}, {"score": 3.0}]
    for place, result in enumerate(reported):
        searcher.suggest(f"trial{place}")
        searcher.on_trial_complete(f"trial{place}", {**result, "done": True})
    assert [tell.score for tell in searcher.search.tells] == [70.0, None, None]
