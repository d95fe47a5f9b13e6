"""Search spaces: what is read, what is refused, what Tune is told, and what comes back from it."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import tune
from ray.tune.search.sample import Categorical, Float, Integer, LogUniform, Quantized
from ray.tune.search.variant_generator import generate_variants

from rlx2_ray.config import resolve, unflatten
from rlx2_ray.report.record.record import Record
from rlx2_ray.sweep.description.space import (
    Parameter,
    config_of,
    count_trials,
    parse_space,
    to_tree,
    trial_name,
    unpack,
    varied_keys,
)
from rlx2_ray.sweep.description.space_check import MOST_COMBINATIONS, check_space, first_config
from rlx2_ray.sweep.description.space_tune import clip, to_mutations, to_tune
from rlx2_ray.types import BadInput

PAIR = "sparsity.policy, sparsity.critic"
EVERYTHING = {
    PAIR: {"grid": [[0.9, 0.8], [0.98, 0.95]]},
    "network.hidden": {"choice": [[64, 64], [256]]},
    "algo": {"choice": ["td3", "sac"]},
    "agent.discount": {"uniform": [0.9, 0.99]},
    "agent.learning_rate": {"loguniform": [1e-4, 1e-2]},
    "topology.drop_fraction": {"quniform": [0.1, 0.5, 0.1]},
    "target.n_step": {"randint": [1, 6]},
    "seed": {"grid": [0, 1, 2]},
}


@pytest.mark.parametrize(
    ("tree", "parameter"),
    [
        ({"seed": {"grid": [0, 1]}}, Parameter(("seed",), "grid", (0, 1))),
        ({"agent": {"tau": {"uniform": [0.1, 0.2]}}}, Parameter(("agent.tau",), "uniform", (0.1, 0.2))),
        ({"agent.tau": {"loguniform": ["1e-3", "1.e-2"]}}, Parameter(("agent.tau",), "loguniform", (1e-3, 1e-2))),
        ({"env.kwargs": {"choice": [{"a": 1}, {}]}}, Parameter(("env.kwargs",), "choice", ({"a": 1}, {}))),
        ({"env": {"kwargs": {"a": {"grid": [1]}}}}, Parameter(("env.kwargs.a",), "grid", (1,))),
        ({"algo,seed": {"choice": [["sac", 1]]}}, Parameter(("algo", "seed"), "choice", (("sac", 1),))),
        (
            {"sparsity": {"policy, critic": {"grid": [[0, 0.5]]}}},
            Parameter(tuple(PAIR.split(", ")), "grid", ((0, 0.5),)),
        ),
    ],
)
def test_forms(tree: dict[str, Any], parameter: Parameter) -> None:
    assert parse_space(tree) == (parameter,)


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        (3, "param_space is 3: it should hold keys and forms, such as sparsity.policy: {grid: [...]}."),
        ({"seed": 3}, "seed is 3 in param_space: give it a form, such as seed: {grid: [...]}."),
        ({"agent": {}}, "agent is {} in param_space: give it a form, such as agent: {grid: [...]}."),
        (
            {"seed": {"gird": [1]}},
            "seed has gird: [1] in param_space, which is no form: choose one of grid, choice, uniform, loguniform, "
            "quniform, randint.",
        ),
        ({"seed": {"grid": [1], "choice": [2]}}, "seed has grid and choice in param_space: keep one form."),
        ({"seed": {"grid": []}}, "seed has grid: [] in param_space: write a list, such as seed: {grid: [...]}."),
        ({"seed": {"grid": 3}}, "seed has grid: 3 in param_space: write a list, such as seed: {grid: [...]}."),
        (
            {"seed": {"grid": [1]}, "algo, seed": {"grid": [["sac", 1]]}},
            "seed is in param_space more than once: keep one of them.",
        ),
        (
            {PAIR: {"uniform": [0.5, 0.9]}},
            f"{PAIR} has uniform in param_space: only grid and choice set several keys together.",
        ),
        ({PAIR: {"grid": [0.9]}}, f"{PAIR} has 0.9 in its grid: write a list of 2 values, one for each key."),
        ({"seed": {"randint": [1]}}, "seed has randint: [1]: write [lowest, highest]."),
        ({"seed": {"quniform": [0, 1]}}, "seed has quniform: [0, 1]: write [lowest, highest, step]."),
        ({"agent.tau": {"uniform": ["a", 1]}}, "agent.tau has uniform: ['a', 1]: write numbers."),
        ({"agent.tau": {"uniform": [False, 1]}}, "agent.tau has uniform: [False, 1]: write numbers."),
        (
            {"agent.tau": {"uniform": [0.2, 0.1]}},
            "agent.tau has uniform: [0.2, 0.1]: the first should be below the second, and both finite.",
        ),
        (
            {"agent.tau": {"uniform": [0.2, math.inf]}},
            "agent.tau has uniform: [0.2, inf]: the first should be below the second, and both finite.",
        ),
        (
            {"agent.tau": {"loguniform": [0, 1]}},
            "agent.tau has loguniform: [0, 1]: on a logarithmic scale the lowest should be above 0.",
        ),
        (
            {"agent.tau": {"quniform": [0, 1, 0.3]}},
            "agent.tau has quniform: [0, 1, 0.3]: the step should be above 0, and lowest and highest multiples of it.",
        ),
        (
            {"agent.tau": {"quniform": [0, 1, 5e-324]}},  # of which no float holds as many as there are
            "agent.tau has quniform: [0, 1, 5e-324]: the step should be above 0, and lowest and highest multiples of "
            "it.",
        ),
        ({"seed": {"randint": [0, 1.5]}}, "seed has randint: [0, 1.5]: write whole numbers."),
    ],
)
def test_what_is_no_space(tree: object, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        parse_space(tree)


@pytest.mark.parametrize(
    ("base", "tree", "sentence"),
    [
        ({}, {"sparsity.polcy": {"grid": [0.9]}}, "There is no key sparsity.polcy: did you mean sparsity.policy?"),
        ({}, {"sparsity.policy": {"grid": [0.5, 1.0]}}, "sparsity.policy is 1.0: it should be less than 1."),
        (
            {},
            {"sparsity.policy": {"uniform": [-0.5, 0.9]}},
            "sparsity.policy is -0.5: it should be greater than or equal to 0.",
        ),
        ({}, {"target.n_step": {"randint": [0, 4]}}, "target.n_step is 0: it should be greater than 0."),
        ({}, {"algo": {"choice": ["td3", "ppo"]}}, "algo is 'ppo': choose one of td3, sac."),
        (
            {},
            {"target.n_step": {"uniform": [1, 5]}},
            "target.n_step has uniform: [1, 5], but takes whole numbers: write randint, or quniform with a whole step.",
        ),
        ({}, {"seed": {"quniform": [0, 1, 0.5]}, "steps": {"grid": [0]}}, "steps is 0: it should be greater than 0."),
        (
            {"seed": 3},
            {"seed": {"grid": [1]}},
            "seed has a value of its own and is varied as well: leave one of them out.",
        ),
        (
            {},
            {"method": {"grid": ["rlx2", "dense"]}, "sparsity.critic": {"choice": [0, 0.5]}},
            "sparsity.critic is 0.5 but method dense has topology.rule dense: choose another or leave the sparsity "
            "out.",
        ),
    ],
)
def test_what_no_configuration_has(base: dict[str, Any], tree: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        check_space(base, parse_space(tree))


def test_values_are_looked_at_together_as_trials_have_them() -> None:
    tree = {"steps": {"grid": [10_000]}, "agent.warmup_steps": {"grid": [5_000]}}
    check_space({}, parse_space(tree))
    with pytest.raises(BadInput, match=r"^agent\.warmup_steps is 5000 but steps is 5000, "):
        check_space({"steps": 5_000}, parse_space({"agent.warmup_steps": {"grid": [5_000]}}))


def test_of_a_large_space_every_value_is_looked_at() -> None:
    tree = {key: {"grid": list(range(1, 31))} for key in ("seed", "target.n_step", "evaluation.episodes")}
    assert count_trials(parse_space(tree), 1) > MOST_COMBINATIONS
    check_space({}, parse_space(tree))
    with pytest.raises(BadInput, match=r"^checkpoint\.keep is 0: "):
        check_space({}, parse_space({**tree, "checkpoint.keep": {"grid": [*range(1, 30), 0]}}))


def test_the_first_configuration_has_first_values_and_lowest_ends() -> None:
    config = first_config({"method": "rlx2"}, parse_space(EVERYTHING))
    assert (config.sparsity.policy, config.sparsity.critic) == (0.9, 0.8)
    assert (config.network.hidden, config.agent.learning_rate, config.target.n_step) == ((64, 64), 1e-4, 1)


numbers = st.integers(0, 50) | st.floats(0, 50, allow_nan=False)
lists = st.lists(numbers | st.lists(numbers) | st.sampled_from(["td3", "x y"]), min_size=1, max_size=4)
bounds = st.tuples(st.integers(1, 50), st.integers(51, 99)).map(list)
forms = st.one_of(
    st.fixed_dictionaries({"grid": lists}),
    st.fixed_dictionaries({"choice": lists}),
    *(st.fixed_dictionaries({form: bounds}) for form in ("uniform", "loguniform", "randint")),
    bounds.map(lambda pair: {"quniform": [*pair, 1]}),
)
trees = st.dictionaries(st.sampled_from(["a", "b.c", "b.d", "e.f.g"]), forms)


@given(trees)
def test_what_is_written_reads_back(tree: dict[str, Any]) -> None:
    space = parse_space(tree)
    assert to_tree(space) == tree
    assert parse_space(to_tree(space)) == space
    assert sorted(parse_space(unflatten(tree)), key=str) == sorted(space, key=str)


def test_trials_are_counted_as_tune_makes_them() -> None:
    space = parse_space(EVERYTHING)
    variants = list(generate_variants({"config": to_tune(space)}))
    assert count_trials(space, 1) == len(variants) == 6
    assert count_trials(space, 5) == 30


def test_what_tune_draws_comes_back_as_a_configuration() -> None:
    space = parse_space(EVERYTHING)
    seen = set()
    for _, spec in generate_variants({"config": to_tune(space)}, random_state=np.random.default_rng(0)):
        changes = unpack(space, spec["config"])
        assert list(changes) == varied_keys(space)
        config = resolve(config_of({"steps": 1_000}, changes))
        assert config.steps == 1_000
        assert config.network.hidden in ((64, 64), (256,))
        assert config.topology.drop_fraction in (0.1, 0.2, 0.3, 0.4, 0.5)
        assert 1 <= config.target.n_step < 6
        seen.add((config.sparsity.policy, config.sparsity.critic, config.seed))
    assert seen == {(*pair, seed) for pair in ((0.9, 0.8), (0.98, 0.95)) for seed in range(3)}


def test_domains_of_tune() -> None:
    domains = to_tune(parse_space(EVERYTHING))
    assert domains[PAIR] == tune.grid_search(["[0.9, 0.8]", "[0.98, 0.95]"])
    assert domains["seed"] == tune.grid_search([0, 1, 2])
    assert isinstance(domains["algo"], Categorical)
    assert domains["algo"].categories == ["td3", "sac"]
    assert domains["network.hidden"].categories == ["[64, 64]", "[256]"]
    for key, kind, sampler in [
        ("agent.discount", Float, None),
        ("agent.learning_rate", Float, LogUniform),
        ("topology.drop_fraction", Float, Quantized),
        ("target.n_step", Integer, None),
    ]:
        assert isinstance(domains[key], kind)
        assert sampler is None or isinstance(domains[key].get_sampler(), sampler)
    assert (domains["target.n_step"].lower, domains["target.n_step"].upper) == (1, 6)


def test_mutations_are_ordered_lists_and_ranges() -> None:
    mutations = to_mutations(
        parse_space({"target.n_step": {"choice": [1, 3, 5]}, "agent.tau": {"uniform": [0.1, 0.2]}})
    )
    assert mutations["target.n_step"] == [1, 3, 5]
    assert isinstance(mutations["agent.tau"], Float)


@pytest.mark.parametrize(
    ("form", "value", "clipped"),
    [
        ({"uniform": [0.1, 0.5]}, 0.6, 0.5),
        ({"loguniform": [0.1, 0.5]}, 0.08, 0.1),
        ({"uniform": [0.1, 0.5]}, 0.3, 0.3),
        ({"randint": [1, 6]}, 7, 5),
        ({"randint": [1, 6]}, 3.6, 4),
        ({"quniform": [1000, 4000, 500]}, 2880.0, 3000),
        ({"quniform": [1000, 4000, 500]}, 4800.0, 4000),
        ({"choice": [1, 2]}, 9, 9),
    ],
)
def test_mutated_values_stay_in_their_range(form: dict[str, Any], value: float, clipped: float) -> None:
    assert clip(parse_space({"x": form}), {"x": value, "y": 1}) == {"x": clipped, "y": 1}


def test_values_of_numpy_become_plain() -> None:
    space = parse_space({"agent.tau": {"quniform": [0.1, 0.5, 0.1]}, "seed": {"randint": [0, 9]}})
    changes = unpack(space, {"agent.tau": np.float64(0.1) * 3, "seed": np.int64(3), "other": 1})
    assert changes == {"agent.tau": 0.3, "seed": 3}
    assert [type(value) for value in changes.values()] == [float, int]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"sparsity.policy": 0.9, "seed": 1}, "00007-sparsity.policy=0.9-seed=1"),
        ({"agent.learning_rate": 0.000123456789}, "00007-agent.learning_rate=0.000123457"),
        ({"network.hidden": [64, 64]}, "00007-network.hidden=64x64"),
        ({"env.id": "pkg:A/b-v0"}, "00007-env.id=pkg_A_b-v0"),
        ({"env.kwargs": {"a": 1}}, "00007-env.kwargs=_a_1"),
        ({}, "00007"),
        ({"env.id": "../.."}, "00007-env.id"),
    ],
)
def test_names_of_trials(changes: dict[str, Any], name: str) -> None:
    assert trial_name(changes, "00007").startswith(name)


@given(
    st.dictionaries(st.text(max_size=40), st.text(max_size=40) | numbers | lists, max_size=6), st.integers(0, 99_999)
)
def test_names_are_safe(changes: dict[str, Any], index: int) -> None:
    name = trial_name(changes, f"{index:05}")
    assert re.fullmatch(r"\d{5}([A-Za-z0-9._=+-]*[A-Za-z0-9=+])?", name)
    assert len(name) <= 120


def test_a_record_tells_the_keys_that_vary_from_the_names() -> None:
    space = parse_space(
        {
            "sparsity.policy, sparsity.critic": {"grid": [[0.9, 0.8], [0.98, 0.95]]},
            "agent": {"tau": {"uniform": [0.001, 0.1]}},
            "seed": {"grid": [0, 1]},
        }
    )
    record = Record("sweep", "x", "running", param_space=to_tree(space))
    assert record.varied == varied_keys(space) == ["sparsity.policy", "sparsity.critic", "agent.tau", "seed"]
