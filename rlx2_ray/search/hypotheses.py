"""What may be true of a task: families of curves of the ratio R over networks, on grids of their parameters.

A network keeps a share of the return that is flat, then collapses as it gets sparser, and it collapses in one of two
ways. By decay all seeds get worse: R is plateau x logistic((middle - level) / width), in levels of log density, down
to nothing or to a floor. By falls more and more seeds never learn while the others stay on the plateau: then the share
of the fallen is logistic.
Real tasks show both (Hopper's seeds are bimodal). Curves cross the ratio that is asked for between any two levels, or
before the first, or after the last; some plateaus lie below it. Levels count from 0, the densest.

In two dimensions policy and critics decay each by a curve of its own, and together they keep the product of what each
keeps alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from rlx2_ray.search.statistics import TRIMMED, Doubles, Statistic

Shares = tuple[tuple[float, float], ...]  # (value, share of the prior)

PLATEAUS: Shares = ((0.985, 0.2), (1.0, 0.4), (1.02, 0.25), (1.05, 0.15))  # R of what is not too sparse
HIGH = 1.012  # a plateau over the ratio that is asked for, at least
LOW = (0.88, 0.96)  # plateaus of what keeps the return at no level, over the ratio that is asked for
LOW_SHARE = 0.015  # of the prior
WIDTHS = (0.1, 0.3, 0.7, 1.5)  # of a decay, in levels
OFFSETS = (1 / 6, 1 / 2, 5 / 6)  # where it crosses, from one level (0) to the next (1)
FLOORS = (0.0, 0.36)  # what is left in the end of the ratio that is asked for
FALLS_SHARE = 0.2  # of the prior
FALL_WIDTHS = (0.5, 2.0, 8.0)  # of the share of the fallen, in levels
FALLEN_RATIO = 0.35  # R of a seed that never learns, in the mean
TINY = 1e-9
PLANE_PLATEAUS: Shares = ((0.99, 0.5), (1.03, 0.5))
PLANE_LOW = 0.92  # as LOW
PLANE_DECAYS = ((0.15, 1 / 6), (0.15, 1 / 2), (0.15, 5 / 6), (0.5, 0.25), (0.5, 0.75))  # width, offset


class Hypotheses(NamedTuple):
    """All curves: H of them over A networks."""

    ratios: Doubles  # (H, A), R: of the networks' statistics, the dense arm's being 1
    modes: Doubles  # (H, A), R of the seeds that learn
    fallen: Doubles  # (H, A), share of the seeds that never learn, in [0, 1]
    lost: Doubles  # (H, A), share of the plateau that is lost by decay, in [0, 1]
    prior: Doubles  # (H,), sums to 1


class Curve(NamedTuple):
    """One curve over the levels (L,) of an axis."""

    modes: Doubles
    fallen: Doubles
    lost: Doubles
    share: float  # of the prior


@lru_cache(maxsize=16)
def line_hypotheses(levels: int, threshold: float, statistic: Statistic = "iqm", noise: float = 0.0) -> Hypotheses:
    """Returns the curves of one axis; where they cross `threshold` is uniform a priori.

    `noise` is the standard deviation of seeds that learn, over the dense arm's gain: see `kept_by`.
    """
    curves = list(_line_curves(levels, threshold, statistic, noise))
    modes, fallen, lost = (np.array([getattr(curve, name) for curve in curves]) for name in ("modes", "fallen", "lost"))
    kept = kept_by(fallen, statistic, noise)
    return _hypotheses(modes * kept, modes, fallen, lost, [curve.share for curve in curves])


@lru_cache(maxsize=16)
def plane_hypotheses(policy: int, critic: int, threshold: float) -> Hypotheses:
    """Returns surfaces over policy x critic levels, each with the dense one in front: (0, 0) is no network of theirs.

    Networks are in the order (dense, critic level 0), (dense, critic level 1) ... (policy level 0, dense) ...
    """
    surfaces, shares = [], []
    plateaus = [(max(plateau, HIGH * threshold), share) for plateau, share in PLANE_PLATEAUS]
    plateaus.append((PLANE_LOW * threshold, LOW_SHARE))
    for plateau, share in plateaus:
        kept = [1 - lost for lost in _plane_decays(max(policy, critic), plateau, min(threshold, plateau / HIGH))]
        for one, other in product(kept, kept):
            surfaces.append(plateau * np.outer([1.0, *one[:policy]], [1.0, *other[:critic]]).ravel()[1:])
            shares.append(share)
    modes = np.array(surfaces)
    nothing = np.zeros_like(modes)
    return _hypotheses(modes, modes, nothing, 1 - modes / modes.max(axis=1, keepdims=True), shares)


def kept_by(fallen: Doubles, statistic: Statistic, noise: float = 0.0) -> Doubles:
    """Returns what a statistic of many seeds keeps where a share `fallen` of them never learns; 1 where none does.

    The interquartile mean cuts the fallen away up to a quarter, but then cuts fewer of the worst that do learn: where
    these differ, it falls by some of their `noise` already.
    """
    if statistic == "mean":
        kept: Doubles = 1 - (1 - FALLEN_RATIO) * fallen
        return kept
    share = np.clip(np.asarray(fallen, np.float64), 0, 1 - TINY)
    within = np.clip((share - TRIMMED) / (1 - 2 * TRIMMED), 0, 1)  # share of what is not cut that never learned
    low, high = (np.clip((edge - share) / (1 - share), TINY, 1 - TINY) for edge in (TRIMMED, 1 - TRIMMED))
    # The mean of a standard normal between two quantiles: the difference of its densities there, over their distance.
    middle = (_density_at(low) - _density_at(high)) / np.maximum(high - low, TINY)
    kept = within * FALLEN_RATIO + (1 - within) * (1 + noise * middle)
    return kept


def _density_at(quantile: Doubles) -> Doubles:
    density: Doubles = np.exp(-(ndtri(quantile) ** 2) / 2) / math.sqrt(2 * math.pi)
    return density


def _fallen_at(kept: float, statistic: Statistic, noise: float) -> float:
    """The share of the fallen at which a statistic keeps that."""
    shares = np.linspace(0, 0.75, 3001)
    return float(np.interp(-kept, -kept_by(shares, statistic, noise), shares))


def _line_curves(levels: int, threshold: float, statistic: Statistic, noise: float) -> Iterator[Curve]:
    at: Doubles = np.arange(levels, dtype=np.float64)
    flat = np.zeros(levels)
    crossings = range(-1, levels)  # the level before, -1: before the first
    for plateau, share in ((max(plateau, HIGH * threshold), share) for plateau, share in PLATEAUS):
        share *= (1 - LOW_SHARE) / len(crossings)
        decays = list(product(WIDTHS, OFFSETS, FLOORS))
        for crossing, (width, offset, floor) in product(crossings, decays):
            most = 1 - floor * threshold / plateau
            lost = most * _logistic((at - crossing - offset) / width, (1 - threshold / plateau) / most)
            yield Curve(plateau * (1 - lost), flat, lost, share * (1 - FALLS_SHARE) / len(decays))
        for crossing, width in product(crossings, FALL_WIDTHS):
            fallen = _logistic((at - crossing - 0.5) / width, _fallen_at(threshold / plateau, statistic, noise))
            yield Curve(np.full(levels, plateau), fallen, flat, share * FALLS_SHARE / len(FALL_WIDTHS))
    lows = list(product(LOW, range(levels), WIDTHS))
    for low, middle, width in lows:
        lost = _logistic((at - middle) / width, 0.5)
        yield Curve(low * threshold * (1 - lost), flat, lost, LOW_SHARE / len(lows))


def _plane_decays(levels: int, plateau: float, threshold: float) -> Iterator[Doubles]:
    for crossing, (width, offset) in product(range(-1, levels), PLANE_DECAYS):
        yield _logistic((np.arange(levels) - crossing - offset) / width, 1 - threshold / plateau)


def _logistic(places: NDArray[np.floating[Any]], at_zero: float) -> Doubles:
    """A logistic of width 1 that is `at_zero`, in (0, 1), at place 0."""
    exponents = np.clip(math.log(1 / at_zero - 1) - places, -500, 500)
    values: Doubles = 1 / (1 + np.exp(exponents))
    return values


def _hypotheses(ratios: Doubles, modes: Doubles, fallen: Doubles, lost: Doubles, shares: Iterable[float]) -> Hypotheses:
    prior = np.fromiter(shares, np.float64)
    return Hypotheses(ratios, modes, fallen, lost, prior / prior.sum())
