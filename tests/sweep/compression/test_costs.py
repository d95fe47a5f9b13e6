"""What networks cost by an objective: forecasts from the planned layers, and the finished policies of their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.networks.policy_file import PolicyFile, save_policy
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.search.decision import Decision
from rlx2_ray.search.ledger import Request, Tell
from rlx2_ray.sweep.compression.costs import Costs
from rlx2_ray.sweep.compression.planner import name_of
from rlx2_ray.sweep.compression.problem import Problem
from rlx2_ray.sweep.description.files import parse_compress
from rlx2_ray.types import BadInput, Spaces
from tests.support.compressions import compress_tree

SPACES = Spaces(4, 1, (-3.0,), (3.0,))
METHODS = ["rlx2", {"method": "rlx2", "sparsity.fan_in": "constant"}, "structured"]
FREE, CONSTANT, STRUCTURED = (
    "rlx2, fan_in free",
    "rlx2, fan_in constant",
    "structured, fan_in free",
)
DENSE_BYTES = 4 * (16 * 4 + 16 + 16 * 16 + 16 + 16 + 1)


def problem(**section: Any) -> Problem:
    return Problem(parse_compress(compress_tree(**{f"compress__{key}": value for key, value in section.items()})))


def decision(method: str | None, pair: tuple[float, float]) -> Decision:
    return Decision(*pair, (1.0, 2.0), 1.0, (0.9, 1.1), 0.9, "accept", method=method)


def test_methods_have_names_configurations_and_trials_of_their_own() -> None:
    made = problem(methods=METHODS)
    assert list(made.methods) == [FREE, CONSTANT, STRUCTURED]
    request = Request(*made.pairs[1], 1001, "confirm", CONSTANT)
    name = name_of(request)
    assert name == f"rlx2-fan_in-constant-p{made.pairs[1][0]:.4f}-c{made.pairs[1][1]:.4f}-s1001"
    assert list(made.planner.requests.of(name)) == [request]
    plan = made.planner.plan(request._asdict(), "id")
    assert (plan.config.method, plan.config.sparsity.fan_in, plan.config.seed) == ("rlx2", "constant", 1001)
    assert made.planner.config(request._replace(method=STRUCTURED)).topology.rule == "structured"
    dense = made.planner.config(Request(0.0, 0.0, 2, "dense"))
    assert dense == problem().planner.config(Request(0.0, 0.0, 2, "dense"))


def test_names_in_one_text_are_those_in_a_list() -> None:
    assert list(problem(methods="rlx2, static").methods) == list(problem(methods=["rlx2", "static"]).methods)
    assert problem(methods=["static"]).methods == {None: {"method": "static"}}
    assert problem().methods == {None: {}}


@pytest.mark.parametrize("objective", ["bytes", "latency"])
def test_forecast_falls_with_the_density(objective: str, tmp_path: Path) -> None:
    made = problem(objective=objective, methods=METHODS)
    costs = Costs(made, SPACES, tmp_path)
    for method in made.methods:
        sizes = [costs.size_of(method)(pair) for pair in made.pairs]
        assert sizes == sorted(set(sizes), reverse=True)
        assert 0 < sizes[-1] < sizes[0] < 1
        cost = costs.of(decision(method, made.pairs[0]), [])
        assert cost is not None
        assert cost.policies == 0
        assert cost.value == pytest.approx(sizes[0] * cost.dense)
        assert cost.words.endswith("as forecast from its structure")
    if objective == "bytes":
        assert cost.dense == DENSE_BYTES


def test_measured_are_the_finished_policies_of_the_runs(tmp_path: Path) -> None:
    """Of two policies of 10 and 20 weights a layer, all of which matter; a failed run has none."""
    made = problem(objective="bytes", methods=METHODS)
    pair = made.pairs[0]
    requests = [Request(*pair, seed, "search", CONSTANT) for seed in range(3)]
    for request, width in zip(requests[:2], (2, 4), strict=True):
        layers = (layer(width, 4), layer(1, width))
        folder = tmp_path / name_of(request)
        folder.mkdir()
        save_policy(folder / "policy.safetensors", PolicyFile(layers, "td3", {"id": "E-v0", "kwargs": {}}, SPACES))
    others = [Tell(Request(*pair, 0, "search", FREE), 1.0), Tell(Request(*made.pairs[1], 0, "search", CONSTANT), 1.0)]
    tells = [*(Tell(request, 1.0) for request in requests[:2]), Tell(requests[2], None), *others]
    cost = Costs(made, SPACES, tmp_path).of(decision(CONSTANT, pair), tells)
    assert cost is not None
    assert cost.policies == 2
    assert cost.value == (4 * (8 + 2 + 2 + 1) + 4 * (16 + 4 + 4 + 1)) / 2
    assert cost.words == f"76 bytes as C, {DENSE_BYTES / 76:.3g} times fewer than dense"
    assert Costs(problem(), SPACES, tmp_path).of(decision(None, pair), tells) is None


def layer(outputs: int, inputs: int) -> SparseLayer:
    weights = np.arange(1, outputs * inputs + 1, dtype=np.float32).reshape(outputs, inputs)  # that share no value
    return SparseLayer.from_dense(weights, weights > 0, np.ones(outputs, np.float32))


@pytest.mark.parametrize("methods", [0, 1, 3])
def test_budget_grows_with_the_methods(methods: int) -> None:
    made = problem(methods=METHODS[:methods])
    assert made.most_runs == 67 + max(0, methods - 1) * (67 - made.section.dense_seeds)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"compress__objective": "size"}, "compress.objective"),
        ({"compress__objective": "bytes", "compress__axis": "critic"}, "compress.axis is critic"),
        ({"compress__chip": "Cortex-M7"}, "compress.chip is Cortex-M7, but compress.objective is weights"),
        ({"compress__chip": "8051", "compress__objective": "latency"}, "compress.chip"),
        ({"compress__methods": 3}, "compress.methods"),
        ({"compress__methods": [3]}, "compress.methods"),
        ({"compress__methods": "rlx2,none"}, "none"),
        ({"compress__methods": "rlx2,dense"}, "leaves nothing to compress"),
        ({"compress__methods": "rlx2,rlx2"}, "same as methods.0."),
        ({"compress__methods": "rlx2", "method": "set"}, "leave one of them out"),
        ({"compress__methods": [{"method": "rlx2", "seed": 3}]}, "gives seed"),
        ({"compress__methods": ["rlx2", {"method": "rlx2", "network.hidden": [8]}]}, "methods.1. changes more"),
    ],
)
def test_bad_values_are_one_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse_compress(compress_tree(**changes))
