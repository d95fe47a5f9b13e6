"""Sizes and FLOPs: the eight rows of RLx2's table, and the counted FLOPs of networks small enough to do by hand."""

from __future__ import annotations

import pytest

from rlx2_ray.config import resolve
from rlx2_ray.sparse.costs import Costs, relative_costs
from rlx2_ray.sparse.plan import plan_agent

ENVIRONMENTS = {"HalfCheetah": (17, 6), "Hopper": (11, 3), "Walker2d": (17, 6), "Ant": (111, 8)}


@pytest.mark.parametrize(
    ("algo", "env", "policy", "critic", "size", "train", "infer"),
    [
        ("td3", "HalfCheetah", 0.90, 0.85, 0.133, 0.138, 0.100),
        ("td3", "Hopper", 0.98, 0.95, 0.040, 0.043, 0.020),
        ("td3", "Walker2d", 0.97, 0.95, 0.043, 0.045, 0.030),
        ("td3", "Ant", 0.96, 0.88, 0.093, 0.100, 0.040),
        ("sac", "HalfCheetah", 0.90, 0.80, 0.180, 0.197, 0.100),
        ("sac", "Hopper", 0.98, 0.95, 0.044, 0.048, 0.020),
        ("sac", "Walker2d", 0.90, 0.90, 0.100, 0.113, 0.100),
        ("sac", "Ant", 0.90, 0.75, 0.220, 0.239, 0.100),
    ],
)
def test_table_of_the_paper(
    algo: str, env: str, policy: float, critic: float, size: float, train: float, infer: float
) -> None:
    config = resolve({"algo": algo, "sparsity": {"policy": policy, "critic": critic}})
    costs = relative_costs(config, plan_agent(config, *ENVIRONMENTS[env]))
    rounded = (costs.size_ratio, costs.train_flops_ratio_paper, costs.inference_flops_ratio)
    assert tuple(round(ratio, 3) for ratio in rounded) == (size, train, infer)
    assert round(costs.compression) == round(1 / costs.size_ratio)


def small_costs(algo: str, **sections: object) -> Costs:
    """One observation, one action, hidden width 2; half the policy's weights and all of the critics'."""
    given = {"algo": algo, "steps": 1100, "network": {"hidden": [2]}, "sparsity": {"policy": 0.5, "critic": 0}}
    config = resolve({**given, "agent": {"warmup_steps": 100}, **sections})
    return relative_costs(config, plan_agent(config, 1, 1))


def test_counted_td3() -> None:
    # A = 2 + 2, Q = 4 + 2, delay 2: A counts 1 + 3/2 and Q 8 + 2/2 times.
    assert small_costs("td3").train_flops_ratio_counted == pytest.approx((2.5 * 2 + 9 * 6) / (2.5 * 4 + 9 * 6))


@pytest.mark.parametrize(
    ("n_step", "start", "extra"),
    [
        (1, 0, 0),
        (3, 0, 2 * 3),  # two more evaluations of the policy's 3 active weights
        (3, 250, 2 * 3 * 0.75),  # in the last 750 of 1000 updates
        (3, 9999, 0),
    ],
)
def test_counted_sac(n_step: int, start: int, extra: float) -> None:
    # A = 2 + 4 (mean and log_std), of which 1 + 2 are active; Q = 4 + 2.
    costs = small_costs("sac", target={"n_step": n_step, "n_step_start": start})
    assert costs.train_flops_ratio_counted == pytest.approx((4 * 3 + 12 * 6 + extra) / (4 * 6 + 12 * 6))


def test_pruning_trains_what_it_has_on_the_way() -> None:
    # 1000 updates: none pruned for 200, three quarters of the final sparsity on average for 600, all of it for 200.
    static, prune = small_costs("td3", method="static"), small_costs("td3", method="prune")
    mean = 1 - 0.5 * (0.75 * 0.6 + 0.2)  # of the policy's weights; half of them are left at the end
    assert prune.train_flops_ratio_counted == pytest.approx((2.5 * 4 * mean + 9 * 6) / (2.5 * 4 + 9 * 6))
    assert prune._replace(train_flops_ratio_paper=0, train_flops_ratio_counted=0) == static._replace(
        train_flops_ratio_paper=0, train_flops_ratio_counted=0
    )


def test_a_tiny_network_is_measured_against_the_one_that_it_stands_for() -> None:
    config = resolve({"method": "tiny", "sparsity": {"policy": 0.98, "critic": 0.95}})
    costs = relative_costs(config, plan_agent(config, 11, 3))
    assert costs.inference_flops_ratio == pytest.approx(1395 / 69_120)
    assert costs.size_ratio == pytest.approx((1395 + 2 * 3484) / (69_120 + 138_752))


def test_the_dense_arm_is_the_unit() -> None:
    config = resolve({"method": "dense"})
    costs = relative_costs(config, plan_agent(config, 11, 3))
    assert costs == Costs(1, 1, 1, 1)
