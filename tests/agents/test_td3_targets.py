"""TD3's target, worked by hand over one observation and one action.

Q1 = o + 2a, Q2 = o - a + 0.5, discount 0.5, noise clipped at 0.5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.torch.td3.critic import target_q
from rlx2_ray.agents.torch.tensors import TensorBatch
from rlx2_ray.agents.torch.values import Critics
from rlx2_ray.networks.masked_mlp import MLP, make_mlp
from tests.agents.small import ENGINES, SPACES, random_batch, small_config
from tests.agents.test_agreement import SIZES, Pair, check_agreement
from tests.networks.networks import full_layer


def linear(weights: list[float], bias: float) -> MLP:
    return make_mlp((full_layer([weights], [bias]),), "cpu", trainable=False)


CRITICS: Critics = (linear([1, 2], 0), linear([1, -1], 0.5))


def window(rewards: list[float], length: int, last_observation: float, terminated: bool) -> TensorBatch:
    return TensorBatch(
        torch.zeros(1, 1),
        torch.zeros(1, 1),
        torch.tensor([rewards], dtype=torch.float32),
        torch.tensor([[[-99.0], [-99.0], [last_observation]]]),  # only the last may be looked at
        torch.tensor([length]),
        torch.tensor([terminated]),
    )


@pytest.mark.parametrize(
    ("name", "batch", "noise", "target"),
    [
        # a = 0.5: Q = (9, 8); 1 + 0.5 * 2 + 0.25 * 4 + 0.125 * 8
        ("full window", window([1, 2, 4], 3, 8, False), 3.0, 4.0),
        # a = -0.5: Q = (5, 7); 1 + 0.5 * 2 + 0.25 * 5, for only two rewards were summed
        ("truncated inside", window([1, 2, 0], 2, 6, False), -3.0, 3.25),
        ("terminated at once", window([5, 0, 0], 1, 6, True), 0.0, 5.0),
        ("terminated at the end", window([1, 2, 4], 3, 8, True), 0.0, 3.0),
        # a = 0.25: Q = (8.5, 8.25); the noise is within its bounds
        ("small noise", window([0, 0, 0], 3, 8, False), 0.25, 8.25 / 8),
    ],
)
def test_n_step_target(name: str, batch: TensorBatch, noise: float, target: float) -> None:
    policy = linear([0], 0)
    y = target_q(batch, policy, CRITICS, torch.tensor([[[noise]]]), discount=0.5, noise_clip=0.5)
    assert y.tolist() == pytest.approx([target]), name


def test_the_smoothed_action_stays_in_bounds() -> None:
    # pi' = tanh(50) = 1, so that a = 1 whatever is added: Q = (10, 7.5).
    batch = window([0, 0, 0], 3, 8, False)
    y = target_q(batch, linear([0], 50), CRITICS, torch.tensor([[[0.4]]]), discount=1.0, noise_clip=0.5)
    assert y.tolist() == [7.5]


def test_the_target_policy_acts_on_the_last_observation() -> None:
    # pi' = tanh(o) at o = 0.5; Q2 = 0.5 - tanh(0.5) + 0.5 is the lesser only if the action is the right one.
    batch = window([0, 0, 0], 3, 0.5, False)
    y = target_q(batch, linear([1], 0), CRITICS, torch.zeros(1, 1, 1), discount=1.0, noise_clip=0.5)
    assert y.tolist() == pytest.approx([1 - 0.46211716])


@pytest.mark.parametrize(
    ("mean", "beta", "target"),
    [
        # a = 0.5: Q = (9, 8); a = -0.5: Q = (7, 9); minima 8 and 7, means 8.5 and 8
        (0.0, 0.0, 7.5),
        (1.0, 0.0, 8.25),
        (0.5, 0.0, 7.875),
        (0.0, math.log(3), (3 * 8 + 7) / 4),  # exp(beta * 8) is 3 times exp(beta * 7)
        (1.0, math.log(9), (3 * 8.5 + 8) / 4),
        (0.0, 1000.0, 8.0),
    ],
)
def test_samples_and_the_blend_of_both_critics(mean: float, beta: float, target: float) -> None:
    batch, noise = window([0, 0, 0], 3, 8, False), torch.tensor([[[3.0], [-3.0]]])
    y = target_q(batch, linear([0], 0), CRITICS, noise, 1.0, 0.5, mean, beta)
    assert y.tolist() == pytest.approx([target])


AGENT = {"learning_rate": 1e-3, "policy_delay": 2, "tau": 0.1}


@pytest.mark.parametrize("target", [{"mean": 0.3}, {"samples": 3, "beta": 0.7}, {"mean": 1.0, "samples": 10}])
@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_the_engines_agree(algo: str, target: dict[str, Any]) -> None:
    if algo == "sac":
        target = {"mean": target.get("mean", 0.7)}
    pair = Pair(algo, SIZES["small"], n_step=3, agent=AGENT, target=target, topology={"interval": 7})
    state = pair.warm_up("torch", 23)
    for size in (1, 65, 100):
        pair.update(pair.batch(size))
        check_agreement(state.arrays, pair)
        for learner in pair.learners.values():
            learner.restore(state)


@ENGINES
@pytest.mark.parametrize("target", [{"mean": 1.0}, {"samples": 3}])
def test_it_is_another_target(engine: str, target: dict[str, Any]) -> None:
    losses = []
    for keys in ({}, target):
        learner = make_learner(small_config("td3", engine=engine, target=keys), SPACES)
        learner.update(random_batch(np.random.default_rng(0)))
        losses.append(learner.metrics()["train/critic_loss"])
    assert losses[0] != losses[1]
