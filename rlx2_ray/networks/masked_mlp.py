"""Masked dense layers in torch: the reference that a truly sparse engine must agree with, and the engine for GPUs.

Inactive weights are stored as zeros, so a forward pass needs no mask and autograd gives the dense gradient that RigL
grows by. Who steps the weights masks the gradient (`agents/torch/topology_adam.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, relu

from rlx2_ray.networks.sparse_layer import Layers, SparseLayer


class MaskedLinear:
    """One layer's tensors: `weight` (outputs, inputs), `bias` (outputs,), `mask` (outputs, inputs) bool.

    Where it is hidden and `normalized`, its sums are brought to mean 0 and deviation 1 over its units before ReLU.
    """

    def __init__(self, layer: SparseLayer, device: str = "cpu", *, trainable: bool, normalized: bool = False) -> None:
        self.normalized = normalized
        self.weight = torch.from_numpy(layer.scatter()).to(device).requires_grad_(trainable)
        self.bias = torch.tensor(layer.bias, device=device, requires_grad=trainable)
        self.set_mask(torch.from_numpy(layer.mask()).to(device))

    def set_mask(self, mask: Tensor) -> None:
        """Whoever calls it sees to the weights."""
        self.mask = mask
        self.is_sparse = not bool(mask.all())

    def parameters(self) -> list[Tensor]:
        return [self.weight, self.bias]

    def to_sparse(self) -> SparseLayer:
        """A copy of the active weights."""
        weight, bias = self.weight.detach().cpu().numpy(), self.bias.detach().cpu().numpy()
        return SparseLayer.from_dense(weight, self.mask.cpu().numpy(), bias)


MLP = Sequence[MaskedLinear]


def make_mlp(layers: Layers, device: str, *, trainable: bool, normalized: bool = False) -> list[MaskedLinear]:
    return [MaskedLinear(layer, device, trainable=trainable, normalized=normalized) for layer in layers]


def forward(mlp: MLP, inputs: Tensor) -> Tensor:
    """Returns the outputs (..., outputs) for inputs (..., inputs), with ReLU between layers."""
    hidden = inputs
    for layer in mlp[:-1]:
        sums = linear(hidden, layer.weight, layer.bias)
        hidden = relu(layer_norm(sums, sums.shape[-1:]) if layer.normalized else sums)
    return linear(hidden, mlp[-1].weight, mlp[-1].bias)


def to_sparse(mlp: MLP) -> Layers:
    return tuple(layer.to_sparse() for layer in mlp)


def parameters(mlp: MLP) -> list[Tensor]:
    return [tensor for layer in mlp for tensor in layer.parameters()]


@torch.no_grad()
def polyak_update(target: MLP, online: MLP, tau: float) -> None:
    """target <- (1 - tau) * target + tau * online; then the target takes the online network's masks."""
    torch._foreach_lerp_(parameters(target), parameters(online), tau)
    for slow, fast in zip(target, online, strict=True):
        if slow.mask is not fast.mask:  # only a topology event replaces a mask
            slow.mask = fast.mask
            slow.weight.masked_fill_(~fast.mask, 0)


@torch.no_grad()
def polyak_update_pruned(target: MLP, online: MLP, tau: float) -> None:
    """The same for a target with a structure of its own, whose masks let every weight be (`sparse/targets.py`)."""
    torch._foreach_lerp_(parameters(target), parameters(online), tau)
    for slow, fast in zip(target, online, strict=True):
        count = int(fast.mask.sum())
        if int(slow.weight.count_nonzero()) > count:
            order = slow.weight.abs().ravel().argsort(descending=True, stable=True)
            slow.weight.ravel()[order[count:]] = 0
