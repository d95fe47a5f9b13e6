"""Searches played by hand: scores from a function, any number of runs under way, ending in any order."""

from __future__ import annotations

import random
from collections.abc import Callable

from rlx2_ray.search.decision import Pair, Rule
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.line import LineSearch
from rlx2_ray.search.plane import PlaneSearch
from rlx2_ray.search.search import Options, Search

ScoreOf = Callable[[Request], float | None]  # None: the run fails

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
LINE: tuple[Pair, ...] = tuple((level, 0.0) for level in LEVELS)
PATIENT: dict[str, object] = {"rule": Rule(max_seeds=32), "max_dense_seeds": 64, "max_runs": 200}
RANDOM, DENSE = 20.0, 1020.0  # scores of a random policy and of a noiseless dense run


def line_search(**options: object) -> LineSearch:
    return LineSearch(LINE, make_options(**options), size)


def plane_search(**options: object) -> PlaneSearch:
    return PlaneSearch(LEVELS, LEVELS, make_options(**{"max_runs": 96, **options}), size)


def make_options(**options: object) -> Options:
    return Options(random=RANDOM)._replace(**options)


def size(pair: Pair) -> float:
    """A policy of one weight to critics of three."""
    return ((1 - pair[0]) + 3 * (1 - pair[1])) / 4


def noisy(collapses: Callable[[Pair], bool], noise: float, failures: float = 0.0, seed: int = 0) -> ScoreOf:
    """Half of the dense return where it collapses; the same request always scores the same."""

    def score(request: Request) -> float | None:
        rng = random.Random(f"{seed} {request}")
        if rng.random() < failures:
            return None
        ratio = 0.5 if collapses((request.policy_sparsity, request.critic_sparsity)) else 1.0
        return RANDOM + (DENSE - RANDOM) * (ratio + rng.gauss(0, noise))

    return score


def report(search: Search, request: Request, score: float | None) -> None:
    if score is None:
        search.fail(request)
    else:
        search.tell(request, score)


def play(search: Search, score_of: ScoreOf, order: random.Random | None = None, most: int = 10**6) -> list[Request]:
    """To the end, or to so many runs; as many under way as the search was told. Returns the requests as asked for."""
    asked, under_way = [], list(search.pending)
    while not search.is_finished and len(search.tells) < most:
        while len(under_way) < search.options.concurrency and (request := search.ask()) is not None:
            asked.append(request)
            under_way.append(request)
        assert under_way, "neither finished nor anything to do"
        request = under_way.pop(order.randrange(len(under_way)) if order else 0)
        report(search, request, score_of(request))
    return asked
