"""Fresh seeds: as predicted they count with all others, and where that is improbable they decide by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.search.check import IMPROBABLE, Check, surprise
from rlx2_ray.search.decision import Rule
from rlx2_ray.search.hypotheses import line_hypotheses
from rlx2_ray.search.ledger import DENSE_ARM, ArmKey, Ledger
from rlx2_ray.search.options import Options
from rlx2_ray.search.posterior import Posterior

PAIR = (0.9, 0.0)
ARM = ArmKey(PAIR, "confirm")
DENSE = [0.95, 1.05, 1.0, 1.02, 0.98, 1.0, 1.1, 0.9]
REFERENCE = 1000.0  # gain of the dense arm; a random policy scores 20


def begun(ratios: list[float] = [], rule: Rule = Rule()) -> tuple[Check, Ledger]:  # noqa: B006, B008  values
    """A check of a network that four seeds speak well of; fresh seeds of it from before, if any, told first."""
    options = Options(random=20.0, rule=rule)
    ledger, belief = Ledger(20.0), Posterior(line_hypotheses(8, 0.97), DENSE)
    for ratio in DENSE:
        ledger.close(ledger.open(DENSE_ARM), 20 + REFERENCE * ratio)
    for ratio in (1.0, 0.97, 1.03, 0.99):
        belief.observe(4, ratio)
    tell(ledger, ratios)
    return Check(4, PAIR, belief, ledger, options), ledger


def tell(ledger: Ledger, ratios: list[float]) -> None:
    for ratio in ratios:
        ledger.close(ledger.open(ARM), 20 + REFERENCE * ratio)


def test_as_predicted_it_is_closed_and_has_no_decision_of_its_own() -> None:
    check, ledger = begun()
    for seed, ratio in enumerate((1.0, 0.96, 1.02, 0.99)):
        assert check.next_arm() == ARM
        tell(ledger, [ratio])
        check.advance(REFERENCE)
        assert check.is_open == (seed < 3)
    assert check.surprise is not None
    assert check.surprise > 0.2
    assert (check.is_improbable, check.decision, check.next_arm()) == (False, None, None)


def test_improbable_ones_decide_with_more_of_their_kind() -> None:
    check, ledger = begun()
    tell(ledger, [0.5, 0.52, 0.49, 0.55])
    check.advance(REFERENCE)
    assert check.is_improbable
    assert not check.is_open
    assert check.decision is not None
    assert (check.decision.verdict, len(check.decision.scores)) == ("reject", 4)


def test_improbable_and_undecided_it_asks_for_more_up_to_the_cap() -> None:
    """Two seeds far below what was predicted, and two far above the dense arm: the bootstrap cannot say."""
    check, ledger = begun(rule=Rule(max_seeds=7))
    check.surprise = IMPROBABLE / 2
    tell(ledger, [0.8, 0.81, 1.25, 1.3])
    check.advance(REFERENCE)
    for ratio in (0.75, 1.2, 1.0):
        assert check.next_arm() == ARM
        tell(ledger, [ratio])
        check.advance(REFERENCE)
    assert check.next_arm() is None
    assert check.decision is not None
    assert (check.decision.verdict, len(check.decision.scores)) == ("inconclusive", 7)


def test_seeds_from_before_are_not_fresh() -> None:
    check, ledger = begun([0.1, 0.1])
    assert list(check.fresh) == []
    tell(ledger, [1.0, 1.0, 1.0, 1.0])
    check.advance(REFERENCE)
    assert len(check.fresh) == 4
    assert not check.is_open
    assert not check.is_improbable


def test_better_than_predicted_is_no_reason_to_doubt() -> None:
    check, ledger = begun()
    tell(ledger, [1.6, 1.7, 1.65, 1.6])
    check.advance(REFERENCE)
    assert (check.is_open, check.is_improbable) == (False, False)


@pytest.mark.parametrize(("own", "expected"), [(0.5, 0.25), (2.5, 0.75), (9.0, 1.0), (-1.0, 0.0)])
def test_surprise_by_hand(own: float, expected: float) -> None:
    """The share of four predicted means that are as low."""
    predicted = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert surprise(np.array([own, own]), predicted, Options(0.0, Rule(statistic="mean"))) == expected


def test_predicted_seeds_are_seldom_improbable() -> None:
    """About as often as the bound says."""
    belief = Posterior(line_hypotheses(8, 0.97), DENSE)
    rng = np.random.default_rng(5)
    predicted, drawn = belief.predicted(4, 4000, 4, rng), belief.predicted(4, 600, 4, rng)
    shares = [surprise(row, predicted, Options(0.0)) < IMPROBABLE for row in drawn]
    assert np.mean(shares) == pytest.approx(IMPROBABLE, abs=0.015)
