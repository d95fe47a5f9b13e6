"""Integers that act as the trained policy does: rounded in stages, while what is not rounded yet makes up for it.

To round all weights at once moves the moment at which a nearly bang-bang action switches. So, after Zhou et al. 2017
(incremental network quantization, arXiv 1702.03044), the largest weights of each row are rounded first and stay as they
are, while the others, the rows' scales and the biases are trained; then more of them, until all are integers. The
trained policy is the teacher (policy distillation, Rusu et al. 2015, arXiv 1511.06295): what is made small is the mean
square of the difference of actions, in units of their bounds, on observations of the teacher's own episodes and of
those of the network as it was before each stage (Ross et al. 2011, arXiv 1011.0686).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import check_sizes, evaluate
from rlx2_ray.experiment.playback import playable
from rlx2_ray.export.visited import Recorded
from rlx2_ray.footprint.quantize import IntegerType, rounded
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, MeanPolicy, NoiseFreePolicy, normalized
from rlx2_ray.networks.policy_file import PolicyFile
from rlx2_ray.sparse.circulant import diagonal_places, diagonals_of
from rlx2_ray.types import Floats, Indices

SHARES = (0.5, 0.75, 0.875, 0.95, 1.0)  # of a row's weights that are integers, stage by stage
EPISODES = 5  # before each stage; another five of the teacher's before the first
STREAM = "tuning of integers"  # of seeds, apart from those of all that is measured
UPDATES = 1_500  # of a stage, by Adam with learning rates that fall to zero along a cosine
BATCH = 512  # observations
RATES = {"weights": 0.1, "log_scale": 3e-4, "bias": 1e-3}  # at a stage's begin; of weights in units of their scale


class _Layer:
    """Weights in units of their row's scale, as training changes them; those that are rounded it leaves alone.

    Where weights share values along the diagonals of blocks, each value is there once, and a row is one of blocks.
    """

    def __init__(self, layer: DenseLayer, most: int) -> None:
        weights = torch.from_numpy(diagonals_of(layer.weights, layer.block))
        self._block = layer.block
        self._places = torch.from_numpy(diagonal_places(layer.weights.shape, layer.block))
        greatest = weights.abs().amax(1, keepdim=True)
        self._most = most  # the greatest integer
        self._scale = torch.where(greatest > 0, greatest, 1) / most
        self._is_active = weights != 0
        self._is_rounded = torch.zeros_like(self._is_active)
        self.weights = (weights / self._scale).requires_grad_()
        self.log_scale = torch.zeros_like(greatest).requires_grad_()
        self.bias = torch.from_numpy(layer.bias.copy()).requires_grad_()

    @torch.no_grad()
    def round(self, share: float) -> None:
        """Round the largest of each row that are not rounded yet, so that `share` of its weights are integers."""
        sizes = self.weights.abs().masked_fill(self._is_rounded, torch.inf).masked_fill(~self._is_active, -1)
        rank = sizes.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        chosen = self._is_active & (rank < torch.ceil(share * self._is_active.sum(1, keepdim=True)))
        integers = self.weights.clamp(-self._most, self._most).round()
        self.weights.copy_(torch.where(chosen & ~self._is_rounded, integers, self.weights))
        self._is_rounded |= chosen

    def matrix(self) -> Tensor:
        free = self.weights.clamp(-self._most, self._most) * self._is_active
        values = torch.where(self._is_rounded, self.weights.detach(), free) * self._scale * self.log_scale.exp()
        return values.ravel()[self._places] if self._block > 1 else values

    @torch.no_grad()
    def dense(self) -> DenseLayer:
        return DenseLayer(self.matrix().numpy().copy(), self.bias.numpy().copy(), self._block)


def tuned(policy: PolicyFile, network: Sequence[DenseLayer], kind: IntegerType, source: Path) -> list[DenseLayer]:
    """The network of the policy in `source`, with integers of a kind for weights, as `rounded` gives it.

    Raises BadInput where the policy's environment does not fit. The same policy gives the same network.
    """
    torch.set_num_threads(1)  # with more, the order of sums would depend on the machine
    layers = [_Layer(layer, np.iinfo(kind).max) for layer in network]
    teacher = playable(policy)
    with closing(EnvLane(EnvConfig(**policy.env), 0, STREAM)) as lane:
        check_sizes(source, teacher.spaces, lane.spaces, policy.env["id"])
        observations = _visited(teacher.policy, lane, 0)
        for stage, share in enumerate(SHARES, start=1):
            for layer in layers:
                layer.round(share)
            student = MeanPolicy(normalized(DenseNetwork(_dense(layers)), policy.normalization))
            observations = np.concatenate([observations, _visited(student, lane, stage)])
            inputs = observations if policy.normalization is None else policy.normalization.apply(observations)
            _train(layers, inputs, teacher.policy.action(observations), stage)
    return rounded(_dense(layers), kind)


def _dense(layers: Sequence[_Layer]) -> list[DenseLayer]:
    return [layer.dense() for layer in layers]


def _visited(policy: NoiseFreePolicy, lane: EnvLane, stage: int) -> Floats:
    recorded = Recorded(policy)
    evaluate(recorded, lane, EPISODES, stage * EPISODES)
    return np.stack(recorded.observations)


def _train(layers: Sequence[_Layer], inputs: Floats, actions: Floats, seed: int) -> None:
    optimizer = torch.optim.Adam(
        [{"params": [getattr(layer, name) for layer in layers], "lr": rate} for name, rate in RATES.items()]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)
    for rows in _batches(len(inputs), seed):
        hidden = torch.from_numpy(inputs[rows])
        for layer in layers[:-1]:
            hidden = torch.relu(hidden @ layer.matrix().T + layer.bias)
        outputs = torch.tanh(hidden @ layers[-1].matrix().T + layers[-1].bias)
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(outputs, torch.from_numpy(actions[rows]))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _batches(count: int, seed: int) -> Iterator[Indices]:
    generator = np.random.default_rng(seed)
    for _ in range(UPDATES):
        yield generator.integers(count, size=BATCH)
