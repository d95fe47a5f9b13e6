"""The optimizer against one that keeps a plain list of active weights, and the events one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rlx2_ray.agents.topology_adam import TopologyAdam
from rlx2_ray.networks.masked_mlp import MLP, make_mlp
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.types import Floats
from tests.agents.small import UNENDING, small_config
from tests.networks.networks import full_layer

SHAPE, ACTIVE, REPLACED = (4, 5), 8, 3
RATE = 0.01


def make_optimizer(
    rule: str = "rigl", interval: int = 5, end_update: int = UNENDING, update_interval: int = 1
) -> tuple[MLP, TopologyAdam]:
    """A layer of 4 x 5 with 8 active weights, and a dense one."""
    generator = np.random.default_rng(0)
    mask = np.zeros(SHAPE, np.bool_)
    mask.ravel()[generator.choice(mask.size, ACTIVE, replace=False)] = True
    sparse = SparseLayer.from_dense(generator.standard_normal(SHAPE, np.float32), mask, np.zeros(4, np.float32))
    mlp = make_mlp((sparse, full_layer([[1.0, 2.0, 3.0, 4.0]], [0.5])), "cpu", trainable=True)
    topology = {"rule": rule, "interval": interval, "end_update": end_update, "drop_fraction": 0.4}
    config = small_config("td3", topology=topology, agent={"learning_rate": RATE})
    return mlp, TopologyAdam(mlp, config, update_interval, np.random.default_rng(1))


def random_gradients(mlp: MLP, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(tensor.shape, generator=generator) for layer in mlp for tensor in layer.parameters()]


class ActiveWeights:
    """Adam (Kingma & Ba 2015, algorithm 1) over a dictionary of place -> [weight, first moment, second moment]."""

    def __init__(self, weights: Floats, mask: Floats) -> None:
        self.by_place = {int(place): [float(weights.ravel()[place]), 0.0, 0.0] for place in np.flatnonzero(mask)}
        self._steps = 0

    def step(self, gradient: Floats) -> None:
        self._steps += 1
        for place, entry in self.by_place.items():
            weight, first, second = entry
            slope = float(gradient.ravel()[place])
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            unbiased = first / (1 - 0.9**self._steps), second / (1 - 0.999**self._steps)
            entry[:] = [weight - RATE * unbiased[0] / (math.sqrt(unbiased[1]) + 1e-8), first, second]

    def rewire(self, gradient: Floats, count: int) -> None:
        weakest = sorted(self.by_place, key=lambda place: abs(self.by_place[place][0]))[:count]
        kept = {place: entry for place, entry in self.by_place.items() if place not in weakest}
        candidates = [place for place in range(gradient.size) if place not in kept]
        strongest = sorted(candidates, key=lambda place: -abs(float(gradient.ravel()[place])))[:count]
        grown = {place: self.by_place.get(place, [0.0, 0.0, 0.0]) for place in strongest}
        self.by_place = kept | grown

    def scatter(self, part: int) -> Floats:
        dense = np.zeros(SHAPE, np.float32)
        for place, entry in self.by_place.items():
            dense.ravel()[place] = entry[part]
        return dense


def test_rigl_equals_adam_over_a_list_of_active_weights() -> None:
    mlp, optimizer = make_optimizer()
    reference = ActiveWeights(mlp[0].weight.detach().numpy(), mlp[0].mask.numpy())
    for call in range(1, 61):
        gradients = random_gradients(mlp, call)
        optimizer.step(gradients)
        if call % 5 == 0:
            reference.rewire(gradients[0].numpy(), REPLACED)
        else:
            reference.step(random_gradients(mlp, call)[0].numpy())
        assert np.flatnonzero(mlp[0].mask.numpy()).tolist() == sorted(reference.by_place)
        assert np.allclose(mlp[0].weight.detach().numpy(), reference.scatter(0), atol=1e-5)


@pytest.mark.parametrize("rule", ["static", "set", "rigl"])
def test_inactive_weights_and_moments_are_exactly_zero(rule: str) -> None:
    mlp, optimizer = make_optimizer(rule)
    for call in range(1, 31):
        optimizer.step(random_gradients(mlp, call))
        state = optimizer._adam.state[mlp[0].weight]
        for tensor in (mlp[0].weight, state["exp_avg"], state["exp_avg_sq"]):
            assert tensor[~mlp[0].mask].count_nonzero() == 0
        assert mlp[0].mask.sum() == ACTIVE


def test_an_event_is_a_call_without_a_step() -> None:
    mlp, optimizer = make_optimizer(interval=3)
    for call in range(1, 13):
        weight, bias, mask = (tensor.detach().clone() for tensor in (*mlp[0].parameters(), mlp[0].mask))
        dense = mlp[1].weight.detach().clone()
        optimizer.step(random_gradients(mlp, call))
        assert optimizer.calls == call
        is_event = call % 3 == 0
        assert torch.equal(mlp[0].bias, bias) is is_event
        assert torch.equal(mlp[1].weight, dense) is is_event
        assert torch.equal(mlp[0].mask, mask) is not is_event
        if is_event:
            stayed = mask & mlp[0].mask
            assert torch.equal(mlp[0].weight[stayed], weight[stayed])
            assert mlp[0].weight[mlp[0].mask & ~mask].count_nonzero() == 0


def test_a_regrown_weight_keeps_value_and_moments() -> None:
    mlp, optimizer = make_optimizer(interval=2)
    optimizer.step(random_gradients(mlp, 0))
    state = optimizer._adam.state[mlp[0].weight]
    before = [tensor.detach().clone() for tensor in (mlp[0].weight, *state.values())]
    gradients = random_gradients(mlp, 1)
    gradients[0] = mlp[0].mask * 9.0 + gradients[0].clamp(-1, 1)  # everything dropped is grown again
    optimizer.step(gradients)
    assert all(torch.equal(a, b) for a, b in zip(before, [mlp[0].weight, *state.values()], strict=True))
    assert optimizer.overlap == 1.0


def test_overlap_counts_all_weights_of_the_model() -> None:
    mlp, optimizer = make_optimizer(interval=1)
    gradients = random_gradients(mlp, 0)
    gradients[0] = torch.where(mlp[0].mask, 0.0, 1.0)  # nothing dropped is grown again
    optimizer.step(gradients)
    assert optimizer.overlap == pytest.approx(1 - REPLACED / (ACTIVE + 4))


@pytest.mark.parametrize(
    ("update_interval", "events"),
    [(1, [3, 6, 9, 12, 15, 18]), (2, [3, 6, 9])],  # 20 learner updates are 10 calls under a delay of 2
)
def test_the_clock_counts_the_calls_of_this_network(update_interval: int, events: list[int]) -> None:
    mlp, optimizer = make_optimizer(interval=3, end_update=20, update_interval=update_interval)
    seen = []
    for call in range(1, 25):
        bias = mlp[1].bias.detach().clone()
        optimizer.step(random_gradients(mlp, call))
        seen += [call] * torch.equal(bias, mlp[1].bias)
    assert seen == events


def test_a_static_structure_has_no_events() -> None:
    mlp, optimizer = make_optimizer("static", interval=1)
    mask, bias = mlp[0].mask.clone(), mlp[1].bias.detach().clone()
    optimizer.step(random_gradients(mlp, 0))
    assert torch.equal(mlp[0].mask, mask)
    assert not torch.equal(mlp[1].bias, bias)


def test_set_grows_by_chance_and_not_by_gradient() -> None:
    masks = []
    for seed in (1, 2):
        mlp, optimizer = make_optimizer("set", interval=1)
        optimizer.step(random_gradients(mlp, seed))
        masks.append(mlp[0].mask)
    assert torch.equal(*masks)  # the same generator, other gradients
    optimizer.step(random_gradients(mlp, 2))
    assert not torch.equal(masks[0], mlp[0].mask)


def test_state_and_restore_go_on_alike() -> None:
    (first, optimizer), (second, copy) = make_optimizer(), make_optimizer()
    for call in range(1, 13):
        optimizer.step(random_gradients(first, call))
    arrays, counters = optimizer.state("policy")
    for old, new in zip(first, second, strict=True):
        new.mask = old.mask.clone()
        for source, target in zip(old.parameters(), new.parameters(), strict=True):
            target.detach().copy_(source.detach())
    copy.restore("policy", arrays, counters)
    for call in range(13, 25):
        optimizer.step(random_gradients(first, call))
        copy.step(random_gradients(second, call))
    assert torch.equal(first[0].weight, second[0].weight)
    assert torch.equal(first[1].bias, second[1].bias)
    assert len(arrays["policy.0.weights.first_moment"]) == ACTIVE
