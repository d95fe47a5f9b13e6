"""What a policy's return loses when its weights are rounded to integers, measured on episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlx2_ray.experiment.playback import play, playable
from rlx2_ray.export.quantize import INTEGER_TYPES, IntegerType
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, MeanPolicy, normalized
from rlx2_ray.networks.policy_file import PolicyFile


class Episodes(NamedTuple):
    """The episodes that are played: those of `rlx2 evaluate --episodes --seed`."""

    number: int
    seed: int = 0


class Rounding(NamedTuple):
    """What a policy is to be rounded to, and on what its loss is measured."""

    name: str  # of INTEGER_TYPES
    episodes: Episodes

    @property
    def kind(self) -> IntegerType:
        return INTEGER_TYPES[self.name]


class Loss(NamedTuple):
    episodes: int
    seed: int
    return_before: float  # mean over the episodes
    return_after: float
    return_lost: float


def measure_loss(policy: PolicyFile, network: Sequence[DenseLayer], source: Path, episodes: Episodes) -> Loss:
    """Plays `network`, the policy's with rounded weights. Raises BadInput where the environment is not installed."""
    trained = playable(policy)
    rounded = normalized(DenseNetwork(network), policy.normalization)
    acting = trained._replace(policy=MeanPolicy(rounded))  # tanh of all outputs
    before, after = (play(each, source, *episodes)["return_mean"] for each in (trained, acting))
    return Loss(*episodes, before, after, before - after)
