"""A finished policy as one safetensors file: active weights, their places, and all that is needed to act with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from rlx2_ray import files
from rlx2_ray.algorithms import ALGORITHMS
from rlx2_ray.networks import policy_reader
from rlx2_ray.networks.policy_head import damaged, read_head
from rlx2_ray.networks.policy_reader import FORMAT, LARGEST_FILE, NORMALIZATION, NoPolicy, Normalization
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.networks.sparse_layer import Layers, SparseLayer, to_arrays
from rlx2_ray.types import BadInput, Damaged, Spaces


class PolicyFile(NamedTuple):
    layers: Layers
    algo: str
    env: dict[str, Any]  # the fields of an EnvConfig
    spaces: Spaces
    about: dict[str, Any] = {}  # what is known of where it comes from, JSON-ready; nothing needs it to act
    normalization: Normalization | None = None

    @property
    def weights(self) -> PolicyWeights:
        """All that acting depends on."""
        return PolicyWeights(self.layers, self.normalization)


def policy_digest(layers: Layers, normalization: Normalization | None = None) -> str:
    """SHA-256, in hex, over every layer's shape, indices, weights and bias, and over the normalisation."""
    return policy_reader.digest_of_layers([*_arrays(layers), normalization or ()])


def save_policy(path: Path, policy: PolicyFile) -> None:
    """Write the file whole or not at all. Raises OSError where there is no room."""
    metadata = {
        "format": FORMAT,
        "algo": policy.algo,
        "env": json.dumps(policy.env),
        "spaces": json.dumps(policy.spaces.fields()),
    }
    if policy.about:
        metadata["about"] = json.dumps(policy.about)
    metadata["digest"] = policy_reader.digest(metadata, [*_arrays(policy.layers), policy.normalization or ()])
    arrays = to_arrays(policy.layers, "policy")
    arrays |= dict(zip(NORMALIZATION, policy.normalization or (), strict=False))
    # Not by safetensors' own save_file, whose files only their owner may read.
    files.write(path, save(arrays, metadata))


def load_policy(path: Path) -> PolicyFile:
    """Raises BadInput for a file that is no policy, or is damaged."""
    try:
        content = policy_reader.parse(files.read(path, LARGEST_FILE))
    except OSError as error:
        raise BadInput(f"{path} cannot be read as a policy ({error}): give a run directory or a policy file.") from None
    except ValueError as problem:
        kind = BadInput if isinstance(problem, NoPolicy) else Damaged
        raise kind(f"{path} {problem}") from None
    layers = tuple(SparseLayer(*layer) for layer in content.layers)
    head = read_head(path, content.algo, content.env, content.spaces, content.about)
    outputs, expected = len(layers[-1].bias), head.spaces.action_size * ALGORITHMS[head.algo].outputs_per_action
    if outputs != expected:
        raise damaged(path, f"its last layer has {outputs} outputs, and {head.algo} has {expected} for its actions")
    return PolicyFile(layers, *head, content.normalization)


def _arrays(layers: Layers) -> list[tuple[np.ndarray, ...]]:
    return [(np.asarray(layer.shape, dtype=np.int32), layer.indices, layer.weights, layer.bias) for layer in layers]
