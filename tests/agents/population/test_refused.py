"""What a population does not have is refused before it begins, by its key."""

from __future__ import annotations

from typing import Any

import pytest

from rlx2_ray.agents.engines import NOT_IN_A_POPULATION, check_engine
from rlx2_ray.config.schema import LATER
from rlx2_ray.types import BadInput
from tests.support.runs import small_config

SWITCHED: dict[str, Any] = {
    "agent.grown_steps": "own",
    "network.critic_norm": "layer",
    "network.rescaled": "policy",
    "sparsity.block": 2,
    "topology.growth_batches": 3,
    "topology.hold": 0.5,
    "target.samples": 5,
}


def test_every_key_that_came_later_is_known_to_a_population_or_refused() -> None:
    known = {"agent.normalize_observations", "agent.beta_1", "agent.beta_2", "target.rule", "target.mean"}
    known |= {"target.beta", "policy.average", "sparsity.fan_in", "topology.hold_episodes"}
    # target.beta is of the samples, which are refused, as hold_episodes is of hold
    later = {f"{section}.{key}" for section, keys in LATER.items() for key in keys}
    refused = {f"{section}.{key}" for section, keys in NOT_IN_A_POPULATION.items() for key in keys}
    assert refused == set(SWITCHED)
    assert later == known | refused


@pytest.mark.parametrize(("key", "value"), SWITCHED.items())
def test_switches_that_it_does_not_have(key: str, value: Any) -> None:
    method = {"topology.growth_batches": "rigl", "topology.hold": "prune", "sparsity.block": "prune"}.get(key, "rlx2")
    config = small_config(**{key: value, "engine": "population", "method": method})
    with pytest.raises(BadInput, match=rf"^{key} is {value!r}, which engine population does not have: choose sparse"):
        check_engine(config)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"runtime.kind": "actors"}, "is its own runtime"), ({"runtime.envs_per_rollout": 2}, "has one environment")],
)
def test_runtimes_that_it_does_not_have(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        check_engine(small_config(engine="population", **changes))
