"""The policy of a run or of a policy file, exported: written aside, checked against the trainer's, put in place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlx2_ray.experiment.playback import find_policy, playable
from rlx2_ray.export.check import check, random_observations
from rlx2_ray.export.identity import InUnits, describe, describe_numbers
from rlx2_ray.export.placing import placing
from rlx2_ray.export.rounding_loss import Rounding
from rlx2_ray.networks.policy import densify
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, policy_digest, save_policy
from rlx2_ray.types import BadInput

Content = dict[str, Any]
POLICY_FORMATS = ("safetensors", "onnx", "c")


def export_policy(
    path: Path, file_format: str, out: Path | None, rounding: Rounding | None, best: bool, warn: Callable[[str], None]
) -> Content:
    """Write one file (of C, two) and say what it is.

    `rounding`: to integers, None for float32; `best`: the policy of a run's best evaluation. Raises BadInput, with
    nothing written, where there is no policy yet or `out` cannot be taken.
    """
    if rounding and file_format != "c":
        raise BadInput(f"--{rounding.name} is for --format c, and --format is {file_format}: leave it out.")
    policy = find_policy(path, warn, best)
    if policy.about.get("learner_steps") == 0:
        raise BadInput(f"{path} has trained nothing yet, so it has no policy to export: let it run on, or resume it.")
    out = out or (path if path.is_dir() else path.parent) / default_name(policy, file_format, best)
    if out.suffix != f".{file_format}":
        raise BadInput(f"--out is {out}, whose name does not end in .{file_format}: give one that does.")
    details = _write(policy, file_format, out, rounding)
    return {
        "path": str(out),
        "format": file_format,
        "env_id": policy.env["id"],
        "algo": policy.algo,
        "bytes": out.stat().st_size,
        "active_weights": sum(len(layer.indices) for layer in policy.layers),
        "policy_digest": policy_digest(policy.layers),
        "score": policy.about.get("score"),
        **details,
    }


def default_name(policy: PolicyFile, file_format: str, best: bool) -> str:
    """As `hopper_v5_td3.c` or `hopper_v5_td3_best.c`, which give good names in C."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", policy.env["id"])  # HalfCheetah: half_cheetah
    ending = f"_best.{file_format}" if best else f".{file_format}"
    return re.sub(r"\W+", "_", f"{words}_{policy.algo}".lower(), flags=re.ASCII) + ending


def _write(policy: PolicyFile, file_format: str, out: Path, rounding: Rounding | None) -> Content:
    if file_format == "safetensors":
        return _write_safetensors(policy, out)
    if file_format == "onnx":
        return _write_onnx(policy, out)
    from rlx2_ray.export.c_export import write_c

    return write_c(policy, out, rounding)


def _write_safetensors(policy: PolicyFile, out: Path) -> Content:
    with placing([out]) as aside:
        file = aside / out.name
        save_policy(file, policy._replace(about=policy.about | describe_numbers(policy)))
        acting = playable(load_policy(file)).policy
        observations = random_observations(policy.spaces.observation_size)
        return {"check": check(acting, densify(policy.layers), "numpy", observations)._asdict()}


def _write_onnx(policy: PolicyFile, out: Path) -> Content:
    from rlx2_ray.export.compact import compact
    from rlx2_ray.export.onnx_model import make_model, read_model, write_model

    with placing([out]) as aside:
        file = aside / out.name
        network = compact(policy.layers, policy.spaces.action_size)
        write_model(file, make_model(network, policy.spaces), describe(policy))
        acting = InUnits(read_model(file).act, policy.spaces)
        observations = random_observations(policy.spaces.observation_size)
        return {"check": check(acting, densify(policy.layers), "onnxruntime", observations)._asdict()}
