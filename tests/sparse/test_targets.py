"""Targets with a structure of their own, by hand and against torch's."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.networks.masked_mlp import MaskedLinear, polyak_update_pruned
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.sparse.targets import polyak_pruned
from rlx2_ray.types import Bools, Floats


def test_by_hand() -> None:
    # The online network gave up the second weight for the third. With tau = 0.25 the mix is 1.25, 0.75, 0.5: the new
    # weight is the smallest of three, so it has to wait until the old one has faded.
    target, online = np.array([1, 1, 0, 0], np.float32), np.array([2, 0, 2, 0], np.float32)
    target = polyak_pruned(target, online, 0.25, 2)
    assert target.tolist() == [1.25, 0.75, 0, 0]
    target = polyak_pruned(target, online, 0.25, 2)
    assert target.tolist() == [1.4375, 0.5625, 0, 0]
    target = polyak_pruned(target, online, 0.25, 2)
    assert target.tolist() == [1.578125, 0, 0.5, 0]


def test_of_equals_the_first_stay() -> None:
    zeros, ones = np.zeros(4, np.float32), np.ones(4, np.float32)
    assert polyak_pruned(zeros, ones, 0.5, 3).tolist() == [0.5, 0.5, 0.5, 0]


def draw(seed: int, count: int) -> tuple[Floats, Bools]:
    generator = np.random.default_rng(seed)
    mask = np.zeros(20, np.bool_)
    mask[generator.choice(20, count, replace=False)] = True
    return (generator.standard_normal(20, np.float32) * mask).reshape(4, 5), mask.reshape(4, 5)


@given(st.integers(0, 1000), st.integers(1, 20), st.floats(0.01, 1))
def test_it_has_as_many_weights_and_is_what_the_torch_engine_makes(seed: int, count: int, tau: float) -> None:
    slow, _ = draw(seed, count)
    fast, mask = draw(seed + 5000, count)
    mixed = polyak_pruned(slow.ravel(), fast.ravel(), tau, count)
    assert np.count_nonzero(mixed) <= count
    bias = np.zeros(4, np.float32)
    target = MaskedLinear(SparseLayer.from_dense(slow, np.ones_like(mask), bias), trainable=False)
    polyak_update_pruned([target], [MaskedLinear(SparseLayer.from_dense(fast, mask, bias), trainable=False)], tau)
    assert torch.allclose(target.weight.ravel(), torch.from_numpy(mixed), atol=1e-6)
