"""The posterior: against a plain sum over everything that may be true, and what runs do to it."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlx2_ray.search import posterior as module
from rlx2_ray.search.hypotheses import FALLEN_RATIO, Hypotheses, line_hypotheses
from rlx2_ray.search.posterior import FALLEN_SCALE, FALLEN_SHARES, SCALES, SHIFTS, UNLIKE, Posterior, curves_above
from rlx2_ray.search.statistics import Doubles

DENSE = (0.95, 1.05, 1.0, 1.02, 0.98, 1.0, 1.1, 0.9)
THRESHOLD = 0.97
TWO = Hypotheses(  # two curves over two networks: the second collapses, by half of its seeds and by half of its return
    ratios=np.array([[1.0, 1.0], [1.0, 0.3]]),
    modes=np.array([[1.0, 1.0], [1.0, 0.5]]),
    fallen=np.array([[0.0, 0.0], [0.0, 0.5]]),
    lost=np.array([[0.0, 0.0], [0.0, 0.5]]),
    prior=np.array([0.6, 0.4]),
)


def line(*seeds: tuple[int, float], dense: tuple[float, ...] = DENSE) -> Posterior:
    belief = Posterior(line_hypotheses(16, THRESHOLD), dense)
    for level, ratio in seeds:
        belief.observe(level, ratio)
    return belief


def probability(belief: Posterior, ratio: float) -> Doubles:
    """(A,) Pr(R >= ratio)."""
    kept: Doubles = belief.curve_mass @ curves_above(belief.hypotheses, ratio)
    return kept


def density(ratio: float, mode: float, gain: float, scale: float, fallen: float) -> float:
    learned = stats.t.pdf(ratio, 4, mode * gain, scale)
    lost = stats.t.pdf(ratio, 4, FALLEN_RATIO * gain, FALLEN_SCALE)
    return float((1 - fallen) * learned + fallen * lost)


def test_it_is_the_plain_sum_over_all_that_may_be_true() -> None:
    """Dense seeds' noise is summed out: it only says what that of sparse ones may be."""
    seeds = [(0, 0.97), (1, 0.6), (1, 0.3)]
    belief = Posterior(TWO, DENSE)
    for seed in seeds:
        belief.observe(*seed)
    scale = 1.35 * float(np.median(np.abs(np.array(DENSE) - 1.0)))
    masses = np.zeros(2)
    for curve, shift, sparse_scale, share in product(range(2), SHIFTS, SCALES, FALLEN_SHARES):
        gain = 1 + shift * scale * math.sqrt(2 / len(DENSE))
        of_dense = sum(
            unlike(dense_scale, sparse_scale)
            * math.prod(density(ratio, 1, gain, scale * dense_scale, share) for ratio in DENSE)
            for dense_scale in SCALES
        )
        of_sparse = math.prod(
            density(
                ratio,
                TWO.modes[curve, network],
                gain,
                math.hypot(scale * sparse_scale, FALLEN_SCALE * TWO.lost[curve, network]),
                max(share, TWO.fallen[curve, network]),
            )
            for network, ratio in seeds
        )
        masses[curve] += TWO.prior[curve] * of_dense * of_sparse
    assert belief.curve_mass == pytest.approx(masses / masses.sum(), rel=1e-9)


def unlike(dense_scale: float, sparse_scale: float) -> float:
    weights = np.exp(-((np.log(dense_scale / SCALES) / UNLIKE) ** 2) / 2)
    return float(np.exp(-((math.log(dense_scale / sparse_scale) / UNLIKE) ** 2) / 2) / weights.sum())


def test_seeds_that_keep_the_return_speak_for_denser_networks_too() -> None:
    kept = probability(line(*[(7, 1.0)] * 4), THRESHOLD)
    assert (kept[:8] > 0.9).all()
    collapsed = probability(line(*[(7, 1.0)] * 4, (12, 0.1), (12, 0.2)), THRESHOLD)
    assert collapsed[12] < 0.05
    assert collapsed[7] > 0.9


def test_one_collapsed_seed_of_four_does_not_decide() -> None:
    assert probability(line((7, 1.0), (7, 0.2), (7, 1.02), (7, 0.98)), THRESHOLD)[7] > 0.5


def test_four_of_six_do() -> None:
    """The interquartile mean of so many fallen is far below, however good the others are."""
    seeds = [(7, ratio) for ratio in (1.0, 0.2, 0.3, 0.98, 0.4, 0.25)]
    assert probability(line(*seeds), THRESHOLD)[7] < 0.2


def test_a_noisy_dense_arm_makes_seeds_tell_less() -> None:
    quiet = probability(line((7, 0.9), (7, 0.9), dense=(0.99, 1.0, 1.01, 1.0)), THRESHOLD)[7]
    noisy = probability(line((7, 0.9), (7, 0.9), dense=(0.7, 0.9, 1.1, 1.3)), THRESHOLD)[7]
    assert quiet < noisy / 2


def test_a_dense_arm_that_turns_out_better_makes_sparse_seeds_worse() -> None:
    belief = line(*[(7, 1.0)] * 4)
    before = probability(belief, THRESHOLD)[7]
    for _ in range(8):
        belief.observe_dense(1.12)
    assert probability(belief, THRESHOLD)[7] < before - 0.1


def test_more_return_is_less_likely_to_be_kept() -> None:
    belief = line((3, 1.0), (9, 0.9))
    probabilities = np.array([probability(belief, ratio) for ratio in (0.9, 0.94, 0.97, 1.0)])
    assert np.all(np.diff(probabilities, axis=0) <= 0)
    assert np.all(np.diff(probabilities, axis=1) <= 1e-12)


@given(st.lists(st.tuples(st.integers(0, 7), st.floats(-0.5, 1.5)), min_size=2, max_size=6))
@settings(deadline=None, max_examples=20)
def test_order_does_not_matter(seeds: list[tuple[int, float]]) -> None:
    assert line(*seeds).curve_mass == pytest.approx(line(*reversed(seeds)).curve_mass)


def test_what_it_predicts_has_the_quantiles_of_the_mixture() -> None:
    """Of one curve, and nearly no doubt about anything else."""
    belief = Posterior(TWO._replace(prior=np.array([0.0, 1.0])), [1.0] * 40)
    rng = np.random.default_rng(0)
    predicted = belief.predicted(1, 20000, 1, rng)
    assert predicted.shape == (20000, 1)
    scales = belief.grid.scales.ravel()
    of_scale = belief.mass.sum(axis=(0, 1, 3))
    expected = 0.5 * stats.t.cdf(0.4, 4, FALLEN_RATIO, FALLEN_SCALE) + 0.5 * sum(
        share * stats.t.cdf(0.4, 4, 0.5, math.hypot(scale, 0.1)) for share, scale in zip(of_scale, scales, strict=True)
    )
    assert float(np.mean(predicted < 0.4)) == pytest.approx(expected, abs=0.02)


def test_before_any_dense_seed_noise_is_guessed() -> None:
    belief = Posterior(TWO, ())
    assert belief.curve_mass == pytest.approx(TWO.prior)
    assert belief.grid.scales.ravel() == pytest.approx(module.GUESSED_SCALE * SCALES)


def test_student_by_hand() -> None:
    assert module.student(np.array([0.0, 1.5])) == pytest.approx(stats.t.pdf([0.0, 1.5], 4))
