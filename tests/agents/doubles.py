"""Networks in float64, for comparisons to many digits."""

from __future__ import annotations

from rlx2_ray.networks.masked_mlp import MLP, make_mlp
from rlx2_ray.networks.sparse_layer import Layers


def double_mlp(layers: Layers, *, trainable: bool = False) -> MLP:
    mlp = make_mlp(layers, "cpu", trainable=trainable)
    for layer in mlp:
        layer.weight = layer.weight.detach().double().requires_grad_(trainable)
        layer.bias = layer.bias.detach().double().requires_grad_(trainable)
    return mlp
