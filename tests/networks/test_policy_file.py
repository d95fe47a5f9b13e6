"""Policies on disk: what is written is read, and a damaged file is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rlx2_ray.networks.policy_file import PolicyFile, load_policy, policy_digest, save_policy
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.types import BadInput, Spaces
from tests.networks.networks import random_layers

SPACES = Spaces(2, 1, (-2.0,), (3.0,))
POLICY = PolicyFile(random_layers(2, 3, 1), "td3", {"id": "Toy-v0", "kwargs": {"length": 5}}, SPACES, {"score": 1.5})


def as_bytes(policy: PolicyFile) -> tuple[object, ...]:
    layers = [(layer.shape, *(array.tobytes() for array in layer[1:])) for layer in policy.layers]
    return layers, *policy[1:]


def test_round_trip(tmp_path: Path) -> None:
    save_policy(tmp_path / "policy.safetensors", POLICY)
    loaded = load_policy(tmp_path / "policy.safetensors")
    assert as_bytes(loaded) == as_bytes(POLICY)
    assert policy_digest(loaded.layers) == policy_digest(POLICY.layers)


def test_file_may_be_read_by_whom_the_umask_says(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    save_policy(tmp_path / "policy.safetensors", POLICY)
    assert (tmp_path / "policy.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer._replace(weights=layer.weights + np.float32(1e-6)),
        lambda layer: layer._replace(indices=layer.indices[::-1].copy()),
        lambda layer: layer._replace(bias=np.nextafter(layer.bias, np.float32(9))),
        lambda layer: layer._replace(shape=layer.shape[::-1]),
    ],
    ids=["weight", "index", "bias", "shape"],
)
def test_the_digest_changes_with_anything(change: Callable[[SparseLayer], SparseLayer]) -> None:
    layers = random_layers(2, 3, density=1)
    assert policy_digest((change(layers[0]),)) != policy_digest(layers)


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(path, POLICY)
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(BadInput, match=r"policy\.safetensors"):
            load_policy(path)


@pytest.mark.parametrize("content", [None, b"", b"not a policy", b"\xff" * 100])
def test_what_is_no_policy_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "policy.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"policy\.safetensors cannot be read as a policy .*: give .*\.$"):
        load_policy(path)
