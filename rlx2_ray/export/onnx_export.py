"""A policy as an ONNX model, checked by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlx2_ray.experiment.playback import Playable
from rlx2_ray.export.check import check, random_observations, resolution
from rlx2_ray.export.identity import InUnits, describe, in_units
from rlx2_ray.export.onnx_model import make_model, read_model, write_model
from rlx2_ray.export.placing import placing
from rlx2_ray.footprint.compact import compact
from rlx2_ray.networks.policy import densify
from rlx2_ray.networks.policy_file import PolicyFile


def write(policy: PolicyFile, out: Path) -> dict[str, Any]:
    """Writes the model, and returns how closely it acts as the policy."""
    with placing([out]) as aside:
        file = aside / out.name
        network, inputs = compact(policy.layers, policy.spaces.action_size, blocks=()), policy.normalization
        write_model(file, make_model(network, policy.spaces, inputs), describe(policy))
        acting = InUnits(read_model(file).act, policy.spaces)
        observations = random_observations(policy.spaces.observation_size, normalization=inputs)
        unresolved = resolution(policy.spaces)
        checked = check(acting, densify(policy.layers), "onnxruntime", observations, unresolved, normalization=inputs)
        return {"check": checked._asdict()}


@contextmanager
def load(path: Path, warn: Callable[[str], None]) -> Iterator[Playable]:
    """Returns the policy of a model that `write` wrote. Raises BadInput for any other, or one that was changed."""
    yield in_units(*read_model(path))
