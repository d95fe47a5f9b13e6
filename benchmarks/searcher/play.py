"""One search against one simulated truth, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.searcher.truth import BAD, LINE, PLANE, THRESHOLD, Kind, World, line_world, plane_world, size
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.networks import line_networks, plane_networks
from rlx2_ray.search.options import PLANE_RUNS, Options
from rlx2_ray.search.search import Search

AT_ONCE = 2  # runs under way


class Stated(NamedTuple):
    """A probability of keeping the return, as stated, and whether the network does."""

    probability: float
    keeps: bool


class Outcome(NamedTuple):
    """Of one search."""

    runs: int
    rounds: int
    dense_runs: int
    verdict: str  # accept, inconclusive or none
    true_ratio: float  # of the pick; NaN where there is none
    oversize: float  # size of an accepted pick over that of the smallest network that keeps the return, else NaN
    decisions: list[Stated]  # of the networks that were on trial with fresh seeds
    beliefs: list[Stated]  # of each level, at the end; empty in 2-D

    @property
    def is_bad(self) -> bool:
        return self.true_ratio < BAD


def play_line(noise: float, seed: int, options: Options | None = None, kind: Kind = "family") -> Outcome:
    rng = np.random.default_rng((seed, 1))
    world = line_world(noise, rng, kind)
    options = options or Options(random=0.0, concurrency=AT_ONCE)
    search = Search(line_networks(LINE, options.rule), options, size)
    return outcome(search, world, run(search, world, rng))


def play_plane(noise: float, seed: int, options: Options | None = None) -> Outcome:
    rng = np.random.default_rng((seed, 2))
    world = plane_world(noise, rng)
    options = options or Options(random=0.0, max_runs=PLANE_RUNS, concurrency=AT_ONCE)
    search = Search(plane_networks(PLANE, PLANE, options.rule), options, size)
    return outcome(search, world, run(search, world, rng))


def run(search: Search, world: World, rng: np.random.Generator) -> int:
    """Returns how often all of the runs that it asked for were done, one asking after the other."""
    rounds = 0
    while not search.is_finished:
        started: list[Request] = []
        while len(started) < search.options.concurrency and (request := search.ask()) is not None:
            started.append(request)
        for request in started:
            search.tell(request, world.score(request, rng))
        rounds += 1
    return rounds


def outcome(search: Search, world: World, rounds: int) -> Outcome:
    pick = search.ultimate()
    accepted = pick is not None and pick.verdict == "accept"
    return Outcome(
        runs=search.runs,
        rounds=rounds,
        dense_runs=len(search.dense_scores()),
        verdict="none" if pick is None else pick.verdict,
        true_ratio=float("nan") if pick is None else world.ratios[pick.pair],
        oversize=size(pick.pair) / world.best_size() if pick is not None and accepted else float("nan"),
        decisions=stated_decisions(search, world),
        beliefs=stated_beliefs(search, world),
    )


def stated_decisions(search: Search, world: World) -> list[Stated]:
    fresh = {(tell.request.policy_sparsity, tell.request.critic_sparsity) for tell in search.tells if is_fresh(tell[0])}
    tried = [decision for decision in search.decisions() if decision.pair in fresh]
    return [Stated(decision.probability, world.ratios[decision.pair] >= THRESHOLD) for decision in tried]


def is_fresh(request: Request) -> bool:
    return request.purpose == "confirm"


def stated_beliefs(search: Search, world: World) -> list[Stated]:
    """That the threshold is at a level or sparser; of all but the densest, which also stands for none."""
    if not search.beliefs:
        return []
    mass = search.beliefs[-1].mass
    ratios: Sequence[float] = list(world.ratios.values())
    return [Stated(sum(mass[level:]), ratios[level] >= THRESHOLD) for level in range(1, len(mass))]
