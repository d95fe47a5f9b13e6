"""Weights that share one value: Adam of a network of fewer parameters, equal to the bit whatever it is trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.reached import reached_plan
from rlx2_ray.config import resolve
from rlx2_ray.networks.sparse_layer import Arrays, from_arrays
from rlx2_ray.sparse.circulant import group_numbers, has_broken_groups
from rlx2_ray.types import BadInput
from tests.agents.small import ALGORITHMS, ENGINES, NEARLY_DENSE, SPACES, check_resumes, random_batch, small_config

SHARED: dict[str, Any] = {
    "method": "group",
    "network": {"hidden": [18, 13]},  # no multiples of 4
    "topology": {"rule": "prune", "interval": 2, "start_update": 2, "end_update": 14, "hold": 0},
    "agent": {"policy_delay": 1, "tau": 0.1, "weight_decay": 0.01},
    "policy": {"average": 20},
}
MODELS = ("policy", "critic", "target_critic", "average_policy")


@ENGINES
@ALGORITHMS
def test_groups_are_equal_to_the_bit_and_come_to_the_plan(engine: str, algo: str) -> None:
    config = small_config(algo, engine=engine, **SHARED)
    learner, generator = make_learner(config, SPACES), np.random.default_rng(0)
    counts = []
    for _ in range(16):
        learner.update(random_batch(generator))
        arrays = learner.state().arrays
        assert not broken(arrays, MODELS, config.sparsity.block)
        counts.append(sum(len(layer.indices) for layer in from_arrays(arrays, "critic")))  # type: ignore[arg-type]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 4
    plan = reached_plan(config, SPACES, learner.state)
    assert 0 <= counts[-1] - sum(round(0.4 * 18 * 13) for _ in range(2)) < counts[0] * 0.4
    values = {name: len(np.concatenate([np.unique(layer.weights) for layer in from_arrays(arrays, name)])) for name in
              ("policy", "critic")}  # type: ignore[arg-type]  # fmt: skip
    assert values == {"policy": plan.policy.values, "critic": plan.critic.values}
    assert plan.critic.values < 0.5 * plan.critic.active


def broken(arrays: Arrays, models: tuple[str, ...], block: int) -> list[str]:
    """The layers whose groups are."""
    found = []
    for name in models:
        for number, layer in enumerate(from_arrays(arrays, name)):  # type: ignore[arg-type]
            key = f"{name}.{number}.weights"
            values: list[Any] = [each for kind, each in arrays.items() if kind.startswith(key)]
            if has_broken_groups(layer.indices, values, layer.shape, block):
                found.append(key)
    return found


@ENGINES
@pytest.mark.parametrize("sizes", [{}, NEARLY_DENSE])
def test_a_learner_resumes_to_the_bit(engine: str, sizes: dict[str, Any]) -> None:
    check_resumes(small_config("td3", engine=engine, **{**SHARED, **sizes}))


@ENGINES
def test_it_is_adam_over_the_values(engine: str) -> None:
    """By hand: a policy of one layer whose value sees the sum of its group's gradients."""
    config = small_config("td3", engine=engine, **{**SHARED, "agent": {"policy_delay": 1}})
    learner = make_learner(config, SPACES)
    before = learner.state().arrays
    learner.update(random_batch(np.random.default_rng(0)))
    arrays = learner.state().arrays
    plain = make_learner(small_config("td3", engine=engine, **{**SHARED, "sparsity": {"block": 1, "critic": 0.6},
                                                                "agent": {"policy_delay": 1}}), SPACES)  # fmt: skip
    state = plain.state()
    shared = {name: before[name] for name in state.arrays if name in before}
    plain.restore(state._replace(arrays={**state.arrays, **shared}))
    plain.update(random_batch(np.random.default_rng(0)))
    gradients = plain.state().arrays  # of a first step of Adam: 1 - beta_1 of them
    for number in range(6):
        key = f"critic.{number}.weights"
        layer = from_arrays(before, "critic")[number]  # type: ignore[arg-type]
        groups = group_numbers(layer.shape, 4).ravel()
        sums = np.bincount(groups, gradients[f"{key}.first_moment"].astype(np.float64))[groups]  # type: ignore[arg-type]
        scale = np.abs(sums).max()
        assert np.allclose(arrays[f"{key}.first_moment"], sums, atol=1e-5 * scale)
        value = torch.tensor(before[key].astype(np.float64), requires_grad=True)
        value.grad = torch.tensor(10 * sums)
        torch.optim.Adam([value], lr=3e-4).step()
        clear = np.abs(sums) > 1e-4 * scale  # of which the sign is known
        assert np.allclose(arrays[key][clear], value.detach().numpy()[clear], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"method": "rigl"}, "sparsity.block is 4 but topology.rule is rigl"),
        ({"method": "group", "network": {"rescaled": "both"}}, "but network.rescaled is both"),
        ({"method": "group", "agent": {"grown_steps": "own"}}, "but agent.grown_steps is own"),
        ({"method": "group", "topology": {"target_mask": "own"}}, "but topology.target_mask is own"),
        ({"method": "group", "sparsity": {"block": 1000}}, "sparsity.block"),
    ],
)
def test_what_values_cannot_be_shared_with(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        resolve({"sparsity": {"block": 4}} | changes)
