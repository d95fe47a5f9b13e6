"""All that a policy's actions depend on, as it is broadcast to whoever acts with it, saved and exported."""

from __future__ import annotations

from typing import NamedTuple

from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.networks.sparse_layer import Layers

AVERAGE = "average_policy"  # the model's name, among those of a learner and in checkpoints


class PolicyWeights(NamedTuple):
    layers: Layers
    normalization: Normalization | None = None  # of observations, as they were when the layers were
