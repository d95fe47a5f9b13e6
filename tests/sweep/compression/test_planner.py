"""The trials of a compression: their names, their configurations, the dense counterpart."""

from __future__ import annotations

import pytest

from rlx2_ray.config import Tree, resolve
from rlx2_ray.search.ledger import Request
from rlx2_ray.search.search import Search
from rlx2_ray.sweep.compression.planner import CompressPlanner, name_of
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.sweep.description.files import parse_compress
from rlx2_ray.types import BadInput, Spaces
from tests.support.compressions import compress_tree

SPACES = Spaces(4, 1, (-3.0,), (3.0,))


def planner() -> CompressPlanner:
    return Problem(parse_compress(compress_tree())).planner


def problem(**section: object) -> Problem:
    return Problem(parse_compress(compress_tree(**{f"compress__{key}": value for key, value in section.items()})))


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (Request(0.0, 0.0, 3, "dense"), "dense-s3"),
        (Request(0.98, 0.95, 3, "search"), "p0.9800-c0.9500-s3"),
        (Request(0.98, 0.95, 1002, "confirm"), "p0.9800-c0.9500-s1002"),
        (Request(0.9923, 0.0, 0, "search"), "p0.9923-c0.0000-s0"),
    ],
)
def test_names(request_: Request, name: str) -> None:
    assert name_of(request_) == name
    assert planner().plan({**request_._asdict()}, "any id").name == name


def test_plan_of_what_tune_hands_on() -> None:
    plan = planner().plan({**Request(0.6, 0.2, 1001, "confirm")._asdict(), "other": 1}, "id")
    assert plan.purpose == "confirm"
    assert (plan.config.seed, plan.config.sparsity.policy, plan.config.sparsity.critic) == (1001, 0.6, 0.2)
    assert plan.config.method == "rlx2"


def test_configuration_is_that_of_a_single_run() -> None:
    tree: Tree = {key: value for key, value in compress_tree().items() if key != "compress"}
    alone = resolve({**tree, "sparsity": {"policy": 0.6, "critic": 0.2}, "seed": 4})
    assert planner().config(Request(0.6, 0.2, 4, "search")) == alone


def test_dense_counterpart_has_all_weights_and_the_rest_unchanged() -> None:
    dense, sparse = planner().config(Request(0, 0, 4, "dense")), planner().config(Request(0.6, 0.2, 4, "search"))
    assert (dense.sparsity.policy, dense.sparsity.critic, dense.topology.rule) == (0, 0, "dense")
    assert dense.seed == 4
    for section in ("env", "algo", "steps", "network", "agent", "evaluation", "runtime"):
        assert getattr(dense, section) == getattr(sparse, section)


# What is searched


def test_sparsities_of_each_axis() -> None:
    grid = (0.5, 0.6127, 0.7)
    assert problem().pairs == ((0.5, 0.0), (0.6127, 0.2254), (0.7, 0.4))
    assert problem(critic_density_ratio=1).pairs == tuple((level, level) for level in grid)
    assert problem(axis="policy").pairs == tuple((level, 0.0) for level in grid)
    assert problem(axis="critic").pairs == tuple((0.0, level) for level in grid)
    assert problem(axis="both").pairs == tuple((level, level) for level in grid)


def test_levels_where_none_are_given() -> None:
    assert [len(problem(axis=axis, levels=None).levels) for axis in ("tied", "policy", "both")] == [16, 16, 9]


def search_of(cached: int = 0, **section: object) -> Search:
    return problem(**section).make_search(5.0, 2, range(cached), lambda pair: 1.0)


def test_networks_of_each_axis() -> None:
    for axis in ("tied", "policy", "critic"):
        assert search_of(axis=axis).networks.pairs == problem(axis=axis).pairs
        assert search_of(axis=axis).networks.levels == problem(axis=axis).levels
    both = search_of(axis="both").networks
    assert (len(both.pairs), both.levels) == (4 * 4 - 1, ())
    assert {(0.5, 0.0), (0.0, 0.5), (0.5, 0.7)} < set(both.pairs)


def test_options_are_those_of_the_section() -> None:
    options = search_of(dense_seeds=5, max_dense_seeds=9, max_seeds=7, threshold=0.9, statistic="mean").options
    assert (options.random, options.concurrency, options.dense_seeds, options.max_dense_seeds) == (5.0, 2, 5, 9)
    assert (options.rule.threshold, options.rule.statistic, options.rule.max_seeds) == (0.9, "mean", 7)
    assert search_of(dense_seeds=5, max_dense_seeds=3).options.max_dense_seeds == 5


@pytest.mark.parametrize(
    ("runs", "cached", "most"), [(None, 3, 67), (20, 0, 20), (20, 3, 23), (200, 0, 200), (4, 0, 7)]
)
def test_budget_of_runs_bounds_the_search(runs: int | None, cached: int, most: int) -> None:
    """Not so tightly that it could not begin; the searcher asks for no more than the budget."""
    assert search_of(cached, budget={"runs": runs}).options.max_runs == most


def test_budget_of_runs_replaces_the_limit_of_both_axes_too() -> None:
    assert search_of(axis="both").options.max_runs == 96
    assert search_of(axis="both", budget={"runs": 200}).options.max_runs == 200


def test_size_is_that_of_both_critics_and_the_policy() -> None:
    """4-16-16-1 and 5-16-16-1 twice: 336 weights and 352 twice, 1040 in all."""
    size = problem().size_of(SPACES)
    assert size((0.0, 0.0)) == pytest.approx(1)
    assert size((0.5, 0.5)) == pytest.approx(0.5, abs=0.01)
    assert size((0.5, 0.0)) == pytest.approx((336 / 2 + 704) / 1040, abs=0.01)


@pytest.mark.parametrize("axis", ["tied", "policy", "critic", "both"])
def test_layer_without_weights_is_refused(axis: str) -> None:
    tree = compress_tree(network__hidden=[2, 2], compress__max_sparsity=0.99, compress__axis=axis)
    with pytest.raises(BadInput, match=r"^compress.max_sparsity is 0.99, but at 0.\d+ a layer .*\.$"):
        Problem(parse_compress(tree)).check(SPACES)
    problem(axis=axis).check(SPACES)
