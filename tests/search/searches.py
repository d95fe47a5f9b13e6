"""Searches played by hand: scores from a function, any number of runs under way, ending in any order."""

from __future__ import annotations

import random
from collections.abc import Callable

from rlx2_ray.search.decision import Pair, Rule
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.levels import line, sparsities
from rlx2_ray.search.networks import line_networks, plane_networks
from rlx2_ray.search.options import Options
from rlx2_ray.search.search import Search

ScoreOf = Callable[[Request], float | None]  # None: the run fails

LEVELS = sparsities(8, 0.5, 0.99)  # 0.5, 0.7144, 0.8368, 0.9068, 0.9467, 0.9695, 0.9826, 0.99... by a factor of 1.75
LINE: tuple[Pair, ...] = line("policy", LEVELS, 1.0)
PATIENT: dict[str, object] = {"rule": Rule(max_seeds=32), "max_dense_seeds": 64, "max_runs": 200}
RANDOM, DENSE = 20.0, 1020.0  # scores of a random policy and of a noiseless dense run


def line_search(**options: object) -> Search:
    made = make_options(**options)
    return Search(line_networks(LINE, made.rule), made, size)


def plane_search(**options: object) -> Search:
    """Over five levels of each."""
    made = make_options(**{"max_runs": 96, **options})
    return Search(plane_networks(LEVELS[::2], LEVELS[::2], made.rule), made, size)


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
