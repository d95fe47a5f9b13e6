"""Pruning that waits while the return of training falls: by hand, and what holds for any returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.evolution.gradual import GradualPruning
from rlx2_ray.agents.evolution.pruning import Pruning
from rlx2_ray.agents.evolution.unit_pruning import UnitPruning
from rlx2_ray.agents.reached import reached_plan
from rlx2_ray.agents.returns import Returns
from rlx2_ray.config import resolve
from rlx2_ray.sparse.costs import relative_costs
from rlx2_ray.sparse.plan import LayerPlan, NetworkPlan
from rlx2_ray.sparse.schedule import PruningSchedule
from rlx2_ray.types import BadInput, Bools, Floats
from tests.agents.small import ALGORITHMS, ENGINES, SPACES, random_batch, small_config

Totals = st.lists(st.integers(-1000, 1000).map(float), max_size=30)


def test_returns_by_hand() -> None:
    returns = Returns().joined([1], 2)
    assert returns == Returns((1,))
    assert not returns.hold(0.5), "no mean yet"
    returns = returns.joined([3], 2)
    assert returns == Returns((1, 3), 2, 2)
    assert returns.hold(1)
    returns = returns.joined([9, 11], 2)  # means 6 and 10
    assert returns == Returns((9, 11), 2, 10)
    returns = returns.joined([1], 2)  # a mean of 6, half of the way from 2 to 10
    assert (returns.hold(0.5), returns.hold(0.51), returns.best) == (True, False, 10)
    assert Returns.of(returns.values()) == returns
    assert Returns((0, 0, 1), -2 / 3, 1 / 3).hold(1), "the best, though -2/3 + (1/3 + 2/3) is more than 1/3 in floats"


@settings(max_examples=40)
@given(Totals, Totals, st.integers(1, 5), st.sampled_from([0.25, 0.5, 1]))
def test_returns_know_nothing_of_pieces_and_scales(one: list[float], other: list[float], n: int, part: float) -> None:
    whole = Returns().joined(one + other, n)
    assert Returns().joined(one, n).joined(other, n) == whole
    moved = Returns().joined([8 * total - 4096 for total in one + other], n)
    assert moved.first == (None if whole.first is None else pytest.approx(8 * whole.first - 4096))
    # Close to the border rounding decides.
    if whole.best is not None and whole.first is not None:
        latest = sum(whole.recent) / n
        if abs(latest - whole.first - part * (whole.best - whole.first)) > 1e-6:
            assert moved.hold(part) == whole.hold(part)
    assert not whole.recent[n - 1 :] or whole.hold(part) or whole.best != sum(whole.recent) / n


def of_one_layer(holds: list[bool] | None, schedule: PruningSchedule) -> tuple[Pruning, list[float]]:
    """A pruning of eight weights to four, and its fraction at each of ten events, of which some hold."""
    answers = iter(holds or [])
    evolution = Pruning(schedule, [LayerPlan("policy.0", (1, 8), 4)], None if holds is None else lambda: next(answers))
    weights, mask = np.array([[8, -7, 6, -5, 4, -3, 2, -1]], np.float32), np.ones((1, 8), np.bool_)
    counts: list[float] = []
    while evolution.calls < 10:
        evolution.calls += 1
        if evolution.is_due:
            (mask,), (weights,) = evolution.rewire([weights], [mask], [weights], lambda number: np.empty(0))
            counts.append(float(mask.sum()))
    return evolution, counts


def test_zeros_wait_while_the_return_does_not_hold() -> None:
    schedule = PruningSchedule(2, 2, 8)  # events at 4, 6 and 8, thirds of the way: of 4 zeros 2.8, 3.9 and 4
    assert of_one_layer(None, schedule)[1] == [5, 4, 4]
    assert of_one_layer([True, True, True], schedule)[1] == [5, 4, 4]
    assert of_one_layer([False, True, False], schedule)[1] == [8, 5, 5]
    evolution, counts = of_one_layer([False, False, False], schedule)
    assert counts == [8, 8, 8]
    assert evolution.pruned == 0
    late, _ = of_one_layer([True, False, True], schedule)
    assert late.pruned == schedule.fraction(6)
    # 8 weights in 4 calls, then 5 in 2 and in 2: two thirds of the way are done.
    assert late.counters() | {"layer_overlaps": 0, "overlap": 0} == {
        **{"calls": 10, "layer_overlaps": 0, "overlap": 0, "late": 2, "latest": 8, "lived": 8 * 4 + 5 * 2 + 5 * 2}
    }  # fmt: skip


def test_a_schedule_of_one_call_waits_too() -> None:
    assert of_one_layer([False], PruningSchedule(100, 8, 8))[1] == [8]
    assert of_one_layer([True], PruningSchedule(100, 8, 8))[1] == [4]


def rewire(evolution: GradualPruning, weights: list[Floats], masks: list[Bools]) -> list[Bools]:
    return evolution.rewire(weights, masks, weights, lambda number: np.empty(0)).masks


@settings(max_examples=30)
@given(st.data(), st.integers(1, 4), st.integers(0, 5), st.integers(1, 20), st.booleans())
def test_density_never_rises_and_falls_only_while_the_return_holds(
    data: st.DataObject, interval: int, start: int, length: int, of_units: bool
) -> None:
    schedule, holding = PruningSchedule(interval, start, start + length), [True]
    plan = NetworkPlan((LayerPlan("policy.0", (6, 4), 8), LayerPlan("policy.1", (2, 6), 4)), 36)

    def make(asked: bool) -> GradualPruning:
        holds = (lambda: holding[0]) if asked else None
        return UnitPruning(schedule, plan, holds) if of_units else Pruning(schedule, plan.layers, holds)

    held, plain = make(True), make(False)
    generator = np.random.default_rng(0)
    weights = [generator.standard_normal(layer.shape, np.float32) for layer in plan.layers]
    masks = others = [np.ones(layer.shape, np.bool_) for layer in plan.layers]
    always = True
    for _ in range(start + length + 1):
        held.calls, plain.calls = held.calls + 1, plain.calls + 1
        if not held.is_due:
            continue
        holding[0] = data.draw(st.booleans())
        always = always and holding[0]
        before, fraction = masks, held.pruned
        masks, others = rewire(held, weights, before), rewire(plain, weights, others)
        assert not any(np.any(new & ~old) for old, new in zip(before, masks, strict=True))
        assert fraction is not None
        assert held.pruned is not None
        assert held.pruned >= fraction
        if not holding[0]:
            assert held.pruned == fraction
            assert all(np.array_equal(old, new) for old, new in zip(before, masks, strict=True))
        if always:
            assert all(np.array_equal(one, other) for one, other in zip(others, masks, strict=True))


HELD: dict[str, Any] = {"interval": 2, "start_update": 2, "end_update": 10, "hold": 0.5, "hold_episodes": 1}


def states_of(engine: str, algo: str, returns: list[float], **topology: Any) -> tuple[Any, Any]:
    """The configuration, and a learner after ten updates, each of which follows an episode."""
    config = small_config(
        algo, engine=engine, method="group", sparsity={"block": 1}, topology={"rule": "prune", **HELD, **topology}
    )
    learner, generator = make_learner(config, SPACES), np.random.default_rng(0)
    for total in returns:
        learner.returns = learner.returns.joined([total], 1)
        learner.update(random_batch(generator))
    return config, learner


@ENGINES
@ALGORITHMS
def test_learners_wait_and_say_how_far_they_are(engine: str, algo: str) -> None:
    config, learner = states_of(engine, algo, [0, 10, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    assert learner.metrics()["topology/critic_pruned"] == 0
    plan = reached_plan(config, SPACES, learner.state)
    assert (plan.critic.density, plan.critic.trained) == (1, 1)
    costs = relative_costs(config, plan)
    assert (costs.size_ratio, costs.inference_flops_ratio) == (1, 1)
    assert costs.train_flops_ratio_counted == pytest.approx(1)
    config, learner = states_of(engine, algo, [0, 10] + [9] * 9)
    assert learner.metrics()["topology/critic_pruned"] == 1
    plan = reached_plan(config, SPACES, learner.state)
    assert plan.critic.density == pytest.approx(0.4, abs=0.01)
    # By calls: 1 up to the event at 4, then 1 - .6 (1 - (1 - t)^3) at t = 1/4, 1/2, 3/4 and 1.
    left = [1 - 0.6 * (1 - (1 - t) ** 3) for t in (1 / 4, 1 / 2, 3 / 4)]
    assert plan.critic.trained == pytest.approx((4 + 2 * sum(left) + 0.4) / 11, abs=0.01)


def test_what_does_not_prune_by_and_by_cannot_wait() -> None:
    with pytest.raises(BadInput, match=r"^topology.hold is 0.5 but topology.rule is rigl, which does not prune"):
        resolve({"topology": {"hold": 0.5}})
