"""Which trials a sweep has: drawn before the first, and the same when it goes on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.search.variant_generator import generate_variants

from rlx2_ray.config import Tree, merge, resolve
from rlx2_ray.sweep.description.queue import parse_queue, queue_tree
from rlx2_ray.sweep.planner import INDEX, SweepPlanner, make_planner, tune_space

SPACE: Tree = {
    "sparsity.policy": {"grid": [0.3, 0.5]},
    "agent.learning_rate": {"loguniform": [1e-4, 1e-2]},
    "target.n_step": {"randint": [1, 6]},
    "network.hidden": {"choice": [[16, 16], [32]]},
}
BASE: Tree = {"env": {"id": "InvertedPendulum-v5"}, "steps": 1000, "agent": {"warmup_steps": 100}}
PBT: Tree = {
    "seeds": 4,
    "scheduler": {
        "name": "pbt",
        "perturbation_interval": 200,
        "hyperparam_mutations": {"agent.tau": {"uniform": [0.001, 0.02]}, "target.n_step": {"choice": [1, 2, 3]}},
    },
}


def tree(space: Tree = SPACE, tune: Tree | None = None) -> Tree:
    return {**BASE, "evaluation": {"interval": 100}, "param_space": space, "tune": tune or {}}


def planner(space: Tree = SPACE, **tune: Any) -> SweepPlanner:
    return make_planner(parse_queue(tree(space, tune)))


def variants(planner: SweepPlanner) -> list[dict[str, Any]]:
    """The configurations that Tune makes."""
    return [config for _, config in generate_variants(tune_space(planner, {}))]


@pytest.fixture
def population() -> SweepPlanner:
    return make_planner(parse_queue(tree({}, PBT)))


def test_every_grid_point_so_many_times_with_values_of_its_own() -> None:
    samples = [sample.drawn for sample in planner(num_samples=5).samples]
    assert [sample["sparsity.policy"] for sample in samples] == [0.3, 0.5] * 5
    rates = [sample["agent.learning_rate"] for sample in samples]
    assert len(set(rates)) == 10
    assert all(1e-4 <= rate < 1e-2 for rate in rates)
    assert {sample["target.n_step"] for sample in samples} <= {1, 2, 3, 4, 5}


def test_grids_are_combined() -> None:
    samples = planner({"sparsity.policy": {"grid": [0.3, 0.5]}, "seed": {"grid": [7, 8]}}).samples
    assert [tuple(sample.drawn.values()) for sample in samples] == [(0.3, 7), (0.3, 8), (0.5, 7), (0.5, 8)]


@pytest.mark.parametrize("place", ["tune", "first", "last"])
def test_seeds_repeat_a_sample(place: str) -> None:
    """A seed is a repetition: an arm has the same values in each, or nothing could be said of it."""
    seeds = {"seed": {"grid": [0, 1, 2]}}
    if place == "tune":
        made = planner(num_samples=2, seeds=3)
    else:
        made = planner(seeds | SPACE if place == "first" else SPACE | seeds, num_samples=2)
    arms: dict[str, set[int]] = {}
    for sample in made.samples:
        changes = dict(sample.changes)
        seed = changes.pop("seed")
        arms.setdefault(repr(sorted(changes.items())), set()).add(seed)
    assert list(arms.values()) == [{0, 1, 2}] * 4
    assert len({sample.drawn["agent.learning_rate"] for sample in made.samples}) == 4


def test_more_seeds_are_of_the_same_arms() -> None:
    few, many = ({str(sample.drawn | {"seed": 0}) for sample in planner(seeds=seeds).samples} for seeds in (1, 5))
    assert few == many


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31), num_samples=st.integers(1, 6))
def test_samples_follow_from_the_description(seed: int, num_samples: int) -> None:
    description = parse_queue(tree(tune={"num_samples": num_samples, "searcher": {"name": "random", "seed": seed}}))
    stored = parse_queue(queue_tree(description))  # as a resumed sweep reads it
    assert make_planner(stored) == make_planner(description)


def test_another_seed_draws_others() -> None:
    one, two = (planner(searcher={"name": "random", "seed": seed}).samples for seed in (0, 1))
    assert [sample.drawn for sample in one] != [sample.drawn for sample in two]


def test_more_samples_begin_with_the_same() -> None:
    more, fewer = planner(num_samples=5).samples, planner(num_samples=2).samples
    assert [sample.drawn for sample in more[:4]] == [sample.drawn for sample in fewer]


@pytest.mark.parametrize(("runs", "trials"), [(1, 1), (3, 3), (4, 4), (100, 4)])
def test_budget_of_runs_is_not_exceeded(runs: int, trials: int) -> None:
    limited = planner(num_samples=2, budget={"runs": runs})
    all_of_them = planner(num_samples=2).samples
    assert [sample.drawn for sample in limited.samples] == [sample.drawn for sample in all_of_them[:trials]]


def test_trial_has_its_sample_in_its_configuration_and_its_name() -> None:
    many = planner(num_samples=2)
    plan = many.plan({INDEX: 2}, "1a2b_00002")
    sample = many.samples[2].drawn
    assert plan.purpose == "trial"
    assert plan.name.startswith("00002-sparsity.policy=0.3-agent.learning_rate=")
    config = plan.config
    assert (config.sparsity.policy, config.target.n_step) == (0.3, sample["target.n_step"])
    assert config.agent.learning_rate == sample["agent.learning_rate"]
    assert config.network.hidden in ((16, 16), [16, 16], (32,), [32])
    assert (config.steps, config.agent.warmup_steps) == (1000, 100)


def test_names_are_different_where_samples_are_equal() -> None:
    same = planner({"target.n_step": {"choice": [2]}}, num_samples=3)
    assert len({same.plan({INDEX: index}, "").name for index in range(3)}) == 3


def test_tune_tries_every_sample_once() -> None:
    many = planner(num_samples=3)
    assert [variant[INDEX] for variant in variants(many)] == list(range(6))


def test_trial_of_optuna_is_what_was_sampled() -> None:
    space = {"sparsity.policy": {"uniform": [0.1, 0.7]}, "seed": {"choice": [3, 4]}}
    by_optuna = planner(space, searcher="optuna", num_samples=4)
    assert by_optuna.samples == ()
    plan = by_optuna.plan({"sparsity.policy": 0.25, "seed": 4}, "3fe2")
    assert plan.name == "3fe2-sparsity.policy=0.25-seed=4"
    assert (plan.config.sparsity.policy, plan.config.seed) == (0.25, 4)


# Population-based training


def test_member_of_a_population_begins_with_values_of_its_own(population: SweepPlanner) -> None:
    # Tune draws them; without, the configuration says what they are.
    plan = population.plan({INDEX: 3}, "1a2b_00003")
    assert plan.name == "00003-seed=3"
    assert plan.config.agent.tau == resolve(BASE).agent.tau


def test_member_that_copies_another_keeps_its_number_seed_and_directory(population: SweepPlanner) -> None:
    own = population.plan({INDEX: 0, "agent.tau": 0.01, "target.n_step": 2}, "1a2b_00000")
    copied = population.plan({INDEX: 3, "agent.tau": 0.015, "target.n_step": 3}, "1a2b_00000")  # Tune gives it all of 3
    assert copied.name == own.name == "00000-seed=0"
    assert copied.config.seed == own.config.seed == 0
    assert (copied.config.agent.tau, copied.config.target.n_step) == (0.015, 3)


@pytest.mark.parametrize(("tau", "kept"), [(0.024, 0.02), (0.0008, 0.001), (0.005, 0.005)])
def test_value_that_pbt_carries_out_of_its_range_is_put_back(population: SweepPlanner, tau: float, kept: float) -> None:
    assert population.plan({INDEX: 0, "agent.tau": tau, "target.n_step": 1}, "a_00000").config.agent.tau == kept


def test_checkpoints_are_due_when_pbt_copies_them(population: SweepPlanner) -> None:
    assert population.plan({INDEX: 0}, "a_00000").config.checkpoint.interval == 200
    assert planner().plan({INDEX: 0}, "a_00000").config.checkpoint.interval == resolve(BASE).checkpoint.interval


def test_population_that_goes_on_has_the_values_that_it_had_come_to(population: SweepPlanner) -> None:
    begun = {"00001-seed=1": {"agent.tau": 0.0123, "target.n_step": 3, "steps": 1000}}
    first, second, *_ = [config for _, config in generate_variants(tune_space(population, begun))]
    assert (second["agent.tau"], second["target.n_step"]) == (0.0123, 3)
    assert 0.001 <= first["agent.tau"] <= 0.02
    assert first["agent.tau"] != 0.0123
    assert first["target.n_step"] in (1, 2, 3)


def test_trials_that_are_planned_are_known_by_name(population: SweepPlanner) -> None:
    drawn = planner(num_samples=2)
    plans = [drawn.plan({INDEX: index}, "") for index in range(len(drawn.samples))]
    assert [drawn.planned(plan.name) for plan in plans] == plans
    assert list(population.planned_names) == [f"{index:05}-seed={index}" for index in range(4)]
    assert drawn.planned("00009-seed=9") is None


def test_key_that_pbt_changes_may_begin_on_a_grid() -> None:
    grown = make_planner(parse_queue(tree({"target.n_step": {"grid": [1, 3]}}, merge(PBT, {"seeds": None}))))
    assert [variant["target.n_step"] for variant in variants(grown)] == [1, 3]
    plans = [grown.plan(variant, f"a_{index:05}") for index, variant in enumerate(variants(grown))]
    assert [plan.config.target.n_step for plan in plans] == [1, 3]
    assert [plan.name for plan in plans] == ["00000", "00001"], "what changes is not in the name"
