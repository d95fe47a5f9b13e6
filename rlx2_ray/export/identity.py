"""What every exported file says of its policy beside the numbers, so that `rlx2 evaluate` can play it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlx2_ray.envs.actions import half_ranges
from rlx2_ray.experiment.playback import Playable
from rlx2_ray.networks.policy_file import PolicyFile, policy_digest
from rlx2_ray.networks.policy_head import damaged as not_ours
from rlx2_ray.networks.policy_head import read_head
from rlx2_ray.networks.policy_reader import CLIP, shorten
from rlx2_ray.types import Damaged, Floats, Spaces

UNSCALED = "none: the environment's observation, flattened"
NORMALIZED = (
    f"in the file: clip((x - mean) * scale) to within +-{CLIP:g}, x being the environment's observation, flattened"
)
SCALING = "action = action_low + (tanh + 1) / 2 * (action_high - action_low), the environment's units"
ROUNDED = ", rounded to the nearest whole number"


class Identity(NamedTuple):
    algo: str
    env: dict[str, Any]  # the fields of an EnvConfig
    spaces: Spaces
    policy_digest: str  # of the policy as it was trained, from which the file was made


def describe(policy: PolicyFile) -> dict[str, Any]:
    """Returns who a policy is, JSON-ready."""
    return {
        "algo": policy.algo,
        "env": policy.env,
        "spaces": policy.spaces.fields(),
        **describe_numbers(policy),
        "about": policy.about,
    }


def describe_numbers(policy: PolicyFile) -> dict[str, Any]:
    layers = [
        {
            "shape": list(layer.shape),
            "active": len(layer.indices),
            "sparsity": 1 - len(layer.indices) / layer.mask().size,
        }
        for layer in policy.layers
    ]
    return {
        "policy_digest": policy_digest(*policy.weights),
        "layers": layers,
        "observation_scaling": NORMALIZED if policy.normalization else UNSCALED,
        "action_scaling": SCALING + (ROUNDED if policy.spaces.action_is_integer else ""),
    }


def read_description(path: Path, text: str) -> tuple[dict[str, Any], Identity]:
    """Returns what `describe` said in `path`, and of that what acting needs. Raises Damaged."""
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        raise not_ours(path, "what it says of its policy is no JSON") from None
    if not isinstance(description, dict):
        raise not_ours(path, "what it says of its policy has no keys")
    algo, env, spaces, about = (description.get(key) for key in ("algo", "env", "spaces", "about"))
    head = read_head(path, algo, env, spaces, about)
    digest = description.get("policy_digest")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise not_ours(path, f"the digest of its policy is {shorten(digest)}")
    return description, Identity(head.algo, head.env, head.spaces, digest)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def damaged(path: Path) -> Damaged:
    return Damaged(f"{path} is damaged (its content does not match its digest): export it again.")


class InUnits:
    """A policy whose actions are in the environment's units, as one with actions in [-1, 1]."""

    def __init__(self, act: Callable[[Floats], Floats], spaces: Spaces) -> None:
        self._act = act  # (N, observation_size) -> (N, action_size)
        self._low = np.asarray(spaces.action_low)
        half_range = half_ranges(spaces)
        self._half_range = np.where(half_range == 0, 1, half_range)

    def action(self, observation: Floats) -> Floats:
        """Returns the action in float64, so that the environment gets the very one that the file gave."""
        actions = self._act(np.atleast_2d(observation))
        scaled: Floats = (actions - self._low) / self._half_range - 1
        return scaled if observation.ndim == 2 else scaled[0]


def in_units(identity: Identity, act: Callable[[Floats], Floats]) -> Playable:
    """Returns what an exported file gives, ready to be played; `act` as of `InUnits`."""
    policy = InUnits(act, identity.spaces)
    return Playable(policy, identity.env, identity.spaces, identity.policy_digest)
