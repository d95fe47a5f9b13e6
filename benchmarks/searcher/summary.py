"""Many simulated searches in a few numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.searcher.grid import GridPick, play_grid, scores
from benchmarks.searcher.play import AT_ONCE, Outcome, Stated, play_line, play_plane
from benchmarks.searcher.truth import BAD, KINDS, LINE, NOISES, THRESHOLD, Kind, World
from rlx2_ray.search.ledger import DENSE_PAIR
from rlx2_ray.search.options import Options
from rlx2_ray.search.statistics import estimate_ratio

FIRST_SEED = 10_000  # worlds on which nothing of the search was tuned
EDGES = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1.0)  # of stated probabilities
USUAL_NOISE = 0.09  # at which kinds of truth, and numbers of runs at a time, are compared
MANY_AT_ONCE = (1, 32, 64)
PLANES = 5  # a search in 1-D for each so many times dearer one in 2-D

Figures = dict[str, Any]


def rows(repetitions: int) -> dict[str, Callable[[], Figures]]:
    """1-D at every noise, of every kind, with many runs at a time; 2-D; the grid: each by its place in the file."""
    worlds, planes = seeds(repetitions), seeds(max(repetitions // PLANES, 1))
    return (
        {f"line/{noise}": partial(at_noise, play_line, noise, worlds) for noise in NOISES}
        | {f"kinds/{kind}": partial(played, kind, repetitions) for kind in KINDS[1:]}
        | {f"at_once/{many}": partial(played, "family", repetitions, many) for many in MANY_AT_ONCE}
        | {f"plane/{noise}": partial(at_noise, play_plane, noise, planes) for noise in NOISES[:2]}
        | {f"grid/{noise}": partial(summarise_grids, noise, repetitions) for noise in NOISES}
        | {f"bootstrap/{noise}": partial(bootstrap_alone, noise, repetitions) for noise in NOISES}
    )


def played(kind: Kind, repetitions: int, at_once: int = AT_ONCE) -> Figures:
    options = Options(random=0.0, concurrency=at_once)
    return summarise([play_line(USUAL_NOISE, seed, options, kind) for seed in seeds(repetitions)])


def at_noise(play: Callable[[float, int], Outcome], noise: float, worlds: Sequence[int]) -> Figures:
    return summarise([play(noise, seed) for seed in worlds])


def seeds(repetitions: int) -> range:
    return range(FIRST_SEED, FIRST_SEED + repetitions)


def summarise(outcomes: Sequence[Outcome]) -> Figures:
    runs = np.array([one.runs for one in outcomes])
    accepted = [one for one in outcomes if one.verdict == "accept"]
    undecided = [one for one in outcomes if one.verdict == "inconclusive"]
    bad = sum(one.is_bad for one in accepted)
    return {
        "runs_mean": float(runs.mean()),
        "runs_90": float(np.quantile(runs, 0.9)),
        "runs_max": int(runs.max()),
        "rounds_mean": float(np.mean([one.rounds for one in outcomes])),
        "dense_runs_mean": float(np.mean([one.dense_runs for one in outcomes])),
        "accepted": len(accepted) / len(outcomes),
        "inconclusive": len(undecided) / len(outcomes),
        "none": sum(one.verdict == "none" for one in outcomes) / len(outcomes),
        "bad_accepted": bad / len(outcomes),
        "bad_accepted_at_most": upper_bound(bad, len(outcomes)),
        "bad_among_accepted": bad / max(len(accepted), 1),
        "bad_inconclusive": sum(one.is_bad for one in undecided) / len(outcomes),
        "oversize": geometric_mean([one.oversize for one in accepted]),
        "decisions": calibration([stated for one in outcomes for stated in one.decisions]),
        "beliefs": calibration([stated for one in outcomes for stated in one.beliefs]),
    }


def summarise_grids(noise: float, repetitions: int) -> Figures:
    picks = [play_grid(noise, seed) for seed in seeds(repetitions)]
    by_ratio, accepted = zip(*picks, strict=True)
    return {"by_ratio": summarise_picks(by_ratio), "accepted": summarise_picks(accepted)}


def summarise_picks(picks: Sequence[GridPick]) -> Figures:
    ratios = np.array([pick.true_ratio for pick in picks])
    return {
        "picked": float(np.mean(np.isfinite(ratios))),
        "bad": float(np.mean(ratios < BAD)),
        "oversize": geometric_mean([pick.oversize for pick in picks if np.isfinite(pick.oversize)]),
    }


def bootstrap_alone(noise: float, repetitions: int) -> Figures:
    """Of networks that nothing has chosen: R anywhere around the threshold, 8 seeds beside 16 dense ones."""
    rng = np.random.default_rng(0)
    stated = []
    for _ in range(4 * repetitions):
        ratio = rng.uniform(THRESHOLD - 4 * noise, THRESHOLD + 4 * noise)
        world = World({LINE[0]: ratio}, noise)
        dense = scores(world, DENSE_PAIR, "dense", rng) + scores(world, DENSE_PAIR, "dense", rng)
        estimate = estimate_ratio(scores(world, LINE[0], "search", rng), dense, 0.0, THRESHOLD)
        stated.append(Stated(estimate.probability, ratio >= THRESHOLD))
    return {"bootstrap": calibration(stated)}


def calibration(stated: Sequence[Stated]) -> list[Figures]:
    """In each bin of stated probabilities: their mean, the share that is true, and how many there are."""
    probabilities = np.array([one.probability for one in stated])
    keeps = np.array([one.keeps for one in stated])
    bins = np.clip(np.searchsorted(EDGES, probabilities, "right") - 1, 0, len(EDGES) - 2)
    return [bin_of(int(each), probabilities[bins == each], keeps[bins == each]) for each in np.unique(bins)]


def bin_of(index: int, probabilities: NDArray[np.float64], keeps: NDArray[np.bool_]) -> Figures:
    true = int(keeps.sum())
    low, high = stats.binomtest(true, len(keeps)).proportion_ci(method="wilson")
    share = true / len(keeps)
    edges = {"from": EDGES[index], "to": EDGES[index + 1]}
    return edges | {"stated": float(probabilities.mean()), "true": share, "low": low, "high": high, "count": len(keeps)}


def upper_bound(count: int, trials: int) -> float:
    """Of a share, with 95 % confidence (Clopper-Pearson)."""
    return float(stats.beta.ppf(0.95, count + 1, trials - count)) if count < trials else 1.0


def geometric_mean(values: Sequence[float]) -> float | None:
    return float(np.exp(np.mean(np.log(values)))) if len(values) else None
