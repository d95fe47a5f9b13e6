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


@pytest.mark.parametrize(
    ("policy", "critic", "widths"),
    # Hopper: policy 14 w + w^2 nearest 1 382 is w = 31 (1 395), critic 15 w + w^2 nearest 3 469 is w = 52 (3 484).
    [(0.98, 0.95, (31, 52)), (0.0, 0.0, (256, 256))],
)
def test_a_tiny_network_has_as_many_weights_as_the_sparse_one(
    policy: float, critic: float, widths: tuple[int, int]
) -> None:
    plan = plan_agent(resolve({"method": "tiny", "sparsity": {"policy": policy, "critic": critic}}), 11, 3)
    for model, width, whole in zip(plan, widths, (69_120, 138_752), strict=True):
        assert {layer.shape[0] for layer in model.layers[:2]} == {width}
        assert all(layer.sparsity == 0 for layer in model.layers)
        assert model.weights == whole, "of the dense network that it is compared with"
    sparse = plan_agent(resolve({"sparsity": {"policy": policy, "critic": critic}}), 11, 3)
    for model, other in zip(plan, sparse, strict=True):
        assert model.active == pytest.approx(other.active, rel=0.02)


def test_layers_of_ds_on_hopper() -> None:
    policy, critic = plan_agent(resolve({"method": "ds"}), 11, 3)
    # 7 (11 + 256), 64 (256 + 256) of 65 536, and all of the output layer; the critics have 14 inputs.
    assert [layer.active for layer in policy.layers] == [1869, 32_768, 768]
    assert [layer.active for layer in critic.layers] == [1890, 32_768, 256] * 2
    assert policy.density == pytest.approx(0.512, abs=1e-3)


def test_a_layer_of_ds_is_at_most_dense() -> None:
    plan = plan_agent(resolve({"method": "ds", "network": {"hidden": [8, 8]}}), 3, 1)
    assert [layer.sparsity for layer in plan.policy.layers] == [0, 0, 0]


@pytest.mark.parametrize(("group", "active"), [([2, 4], [6, 128, 128]), ([1, 8], [2, 32, 32])])
def test_layers_of_nm_on_hopper(group: list[int], active: list[int]) -> None:
    config = resolve({"method": "nm", "topology": {"group": group}})
    assert config.sparsity.policy == config.sparsity.critic == 1 - group[0] / group[1]
    policy, _ = plan_agent(config, 11, 3)
    # 11 inputs are two groups of four and one of three, of which two live; or one of eight and one of three.
    assert [layer.active // layer.shape[0] for layer in policy.layers] == active
