"""The torch layers and their slow copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlx2_ray.networks.masked_mlp import forward, make_mlp, polyak_update, to_sparse
from rlx2_ray.networks.sparse_layer import SparseLayer
from tests.networks.networks import full_layer, random_layers


def test_forward_by_hand() -> None:
    # Hidden: relu(1 - 4 + 1, -1 + 6 - 1) = (0, 4); output: 5 * 0 - 2 * 4 + 0.5.
    mlp = make_mlp((full_layer([[1, -2], [-1, 3]], [1, -1]), full_layer([[5, -2]], [0.5])), "cpu", trainable=False)
    assert forward(mlp, torch.tensor([[1.0, 2.0]])).tolist() == [[-7.5]]


def test_sparse_round_trip() -> None:
    layers = random_layers(5, 7, 2)
    for old, new in zip(layers, to_sparse(make_mlp(layers, "cpu", trainable=True)), strict=True):
        assert old.shape == new.shape
        assert all(np.array_equal(a, b) for a, b in zip(old[1:], new[1:], strict=True))


def test_to_sparse_is_a_copy() -> None:
    mlp = make_mlp(random_layers(3, 2), "cpu", trainable=False)
    (layer,) = to_sparse(mlp)
    before = layer.weights.copy(), layer.bias.copy()
    mlp[0].weight.add_(1)
    mlp[0].bias.add_(1)
    assert np.array_equal(layer.weights, before[0])
    assert np.array_equal(layer.bias, before[1])


@pytest.mark.parametrize("trainable", [True, False])
def test_only_a_trainable_network_takes_gradients(trainable: bool) -> None:
    mlp = make_mlp(random_layers(3, 2), "cpu", trainable=trainable)
    assert all(tensor.requires_grad is trainable for tensor in mlp[0].parameters())


def test_polyak_by_hand() -> None:
    target = make_mlp((full_layer([[1, 2]], [3]),), "cpu", trainable=False)
    online = make_mlp((full_layer([[5, -2]], [7]),), "cpu", trainable=True)
    polyak_update(target, online, 0.25)
    assert target[0].weight.tolist() == [[2, 1]]
    assert target[0].bias.tolist() == [4]
    assert online[0].weight.tolist() == [[5, -2]]


def test_the_target_takes_the_online_mask_after_its_step() -> None:
    weights, bias = np.array([[4, 8, 0]], np.float32), np.zeros(1, np.float32)
    old_mask, new_mask = np.array([[True, True, False]]), np.array([[False, True, True]])
    target = make_mlp((SparseLayer.from_dense(weights, old_mask, bias),), "cpu", trainable=False)
    online = make_mlp((SparseLayer.from_dense(weights, old_mask, bias),), "cpu", trainable=False)
    online[0].weight.copy_(torch.tensor([[0.0, 8.0, 2.0]]))
    online[0].mask = torch.from_numpy(new_mask)
    polyak_update(target, online, 0.5)
    assert target[0].mask.tolist() == new_mask.tolist()
    assert target[0].weight.tolist() == [[0, 8, 1]]  # 4 -> 2 by Polyak, -> 0 by the mask
