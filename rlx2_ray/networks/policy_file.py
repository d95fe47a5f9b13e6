"""A finished policy as one safetensors file: active weights, their places, and all that is needed to act with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from rlx2_ray import files
from rlx2_ray.networks.sparse_layer import Layers, from_arrays, to_arrays
from rlx2_ray.types import BadInput, Spaces

FORMAT = "rlx2-policy-1"


class PolicyFile(NamedTuple):
    layers: Layers
    algo: str
    env: dict[str, Any]  # id and kwargs
    spaces: Spaces
    about: dict[str, Any] = {}  # what is known of where it comes from, JSON-ready; nothing needs it to act


def policy_digest(layers: Layers) -> str:
    """SHA-256, in hex, over every layer's shape, indices, weights and bias."""
    digest = hashlib.sha256()
    for layer in layers:
        for array in (np.asarray(layer.shape, dtype=np.int32), layer.indices, layer.weights, layer.bias):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


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
    metadata["digest"] = _digest(metadata, policy.layers)
    # Not by safetensors' own save_file, whose files only their owner may read.
    files.write(path, save(to_arrays(policy.layers, "policy"), metadata))


def load_policy(path: Path) -> PolicyFile:
    """Raises BadInput for a file that is no policy, or is damaged."""
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path} cannot be read as a policy ({error}): give a run directory or a policy file.") from None
    if metadata.get("format") != FORMAT:
        raise BadInput(f"{path} is not a policy file of this program: give a policy.safetensors that rlx2 wrote.")
    digest = metadata.pop("digest", None)
    try:
        layers = from_arrays(arrays, "policy")
    except KeyError:
        layers = ()
    if _digest(metadata, layers) != digest:
        raise BadInput(f"{path} is damaged (its content does not match its digest): restore it from a copy.")
    env, spaces, about = (json.loads(metadata.get(key, "{}")) for key in ("env", "spaces", "about"))
    return PolicyFile(layers, metadata["algo"], env, to_spaces(spaces), about)


def to_spaces(fields: Mapping[str, Any]) -> Spaces:
    """Returns the spaces from their fields in JSON, which has no tuples."""
    return Spaces(**{**fields, **{key: tuple(fields[key]) for key in ("action_low", "action_high")}})


def _digest(metadata: Mapping[str, str], layers: Layers) -> str:
    """SHA-256, in hex, over all that the file holds."""
    content = json.dumps(metadata, sort_keys=True) + policy_digest(layers)
    return hashlib.sha256(content.encode()).hexdigest()
