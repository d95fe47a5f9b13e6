"""What a compression search is given."""

from __future__ import annotations

from typing import NamedTuple

from rlx2_ray.search.decision import Rule

PLANE_RUNS = 96  # of a 2-D search; a 9 x 9 grid with 8 seeds takes 656


class Options(NamedTuple):
    """What every search is given; counts are of runs."""

    random: float  # score of a random policy, in the environment's units
    rule: Rule = Rule()
    dense_seeds: int = 8
    max_dense_seeds: int = 24  # the dense arm grows to that where it tells more than sparse runs would
    known_dense: tuple[int, ...] = ()  # seeds of dense runs that are done: they cost nothing, so they come first
    max_runs: int = 67  # of the whole search, dense arm included: under half of a 16 x 8 grid and its dense arm
    concurrency: int = 1  # runs that the caller has under way at a time
