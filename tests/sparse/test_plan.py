"""Names and shapes of an agent's layers."""

from __future__ import annotations

import pytest

from rlx2_ray.config import resolve
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import BadInput


@pytest.mark.parametrize(("algo", "outputs"), [("td3", 3), ("sac", 6)])
def test_layers_of_hopper(algo: str, outputs: int) -> None:
    config = resolve({"algo": algo, "network": {"hidden": [64, 32]}})
    policy, critic = plan_agent(config, 11, 3)
    assert [layer[:2] for layer in policy.layers] == [
        ("policy.0", (64, 11)),
        ("policy.1", (32, 64)),
        ("policy.2", (outputs, 32)),
    ]
    assert [layer[:2] for layer in critic.layers] == [
        ("critic0.0", (64, 14)),
        ("critic0.1", (32, 64)),
        ("critic0.2", (1, 32)),
        ("critic1.0", (64, 14)),
        ("critic1.1", (32, 64)),
        ("critic1.2", (1, 32)),
    ]


def test_totals_of_hopper_98_95() -> None:
    policy, critic = plan_agent(resolve({"sparsity": {"policy": 0.98, "critic": 0.95}}), 11, 3)
    assert (policy.active, policy.weights) == (1383, 69120)
    assert (critic.active, critic.weights) == (2 * 3469, 138752)
    assert policy.layers[0].sparsity == pytest.approx(1 - 356 / 2816)


@pytest.mark.parametrize("model", ["policy", "critic"])
def test_too_high_a_sparsity_names_its_key(model: str) -> None:
    config = resolve({"sparsity": {model: 0.99999}})
    with pytest.raises(BadInput, match=rf"^sparsity\.{model} is 0\.99999, "):
        plan_agent(config, 11, 3)
