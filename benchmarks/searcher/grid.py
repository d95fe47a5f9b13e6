"""What the search is measured against: a full grid of 16 levels with 8 seeds each, beside 8 dense ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.searcher.truth import LINE, World, line_world, size
from rlx2_ray.search.decision import Decision, Pair, Rule, decide
from rlx2_ray.search.ledger import DENSE_PAIR, Purpose, Request

SEEDS = 8
RUNS = SEEDS * (len(LINE) + 1)


class GridPick(NamedTuple):
    """Of one grid; NaN where nothing is picked."""

    true_ratio: float
    oversize: float


def play_grid(noise: float, seed: int) -> tuple[GridPick, GridPick]:
    """The sparsest level whose ratio is above the threshold, as papers pick it, and the sparsest that is accepted."""
    rng = np.random.default_rng((seed, 1))
    world = line_world(noise, rng)
    dense = scores(world, DENSE_PAIR, "dense", rng)
    decisions = [decide(pair, scores(world, pair, "search", rng), dense, 0.0, Rule()) for pair in LINE]
    by_ratio = [decision for decision in decisions if decision.ratio >= Rule().threshold]
    accepted = [decision for decision in decisions if decision.verdict == "accept"]
    return pick(by_ratio, world), pick(accepted, world)


def scores(world: World, pair: Pair, purpose: Purpose, rng: np.random.Generator) -> list[float]:
    return [world.score(Request(*pair, seed, purpose), rng) for seed in range(SEEDS)]


def pick(decisions: list[Decision], world: World) -> GridPick:
    if not decisions:
        return GridPick(float("nan"), float("nan"))
    pair = decisions[-1].pair
    return GridPick(world.ratios[pair], size(pair) / world.best_size())
