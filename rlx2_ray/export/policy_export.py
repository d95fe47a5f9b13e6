"""The policy of a run or of a policy file, exported: written aside, checked against the trainer's, put in place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlx2_ray.experiment.playback import find_policy
from rlx2_ray.export.formats import FORMATS, ROUNDED
from rlx2_ray.export.rounding_loss import Loss, Rounding, warning_of
from rlx2_ray.networks.policy_file import PolicyFile, policy_digest
from rlx2_ray.types import BadInput

Content = dict[str, Any]


def export_policy(
    path: Path,
    file_format: str,
    out: Path | None,
    rounding: Rounding | None,
    best: bool,
    warn: Callable[[str], None],
    with_arduino: bool = False,
) -> Content:
    """Writes one file (of C, two) and says what it is.

    `rounding`: to integers, None for float32; `best`: the policy of a run's best evaluation; `with_arduino`: C as a
    library too. Raises BadInput, with nothing written, where there is no policy yet or `out` cannot be taken.
    """
    if rounding and file_format != ROUNDED:
        raise BadInput(f"--{rounding.name} is for --format {ROUNDED}, and --format is {file_format}: leave it out.")
    if with_arduino and file_format != ROUNDED:
        raise BadInput(f"--arduino is for --format {ROUNDED}, and --format is {file_format}: leave it out.")
    policy = find_policy(path, warn, best)
    if policy.about.get("learner_steps") == 0:
        raise BadInput(f"{path} has trained nothing yet, so it has no policy to export: let it run on, or resume it.")
    out = out or (path if path.is_dir() else path.parent) / default_name(policy, file_format, best)
    if out.suffix != f".{file_format}":
        raise BadInput(f"--out is {out}, whose name does not end in .{file_format}: give one that does.")
    details = FORMATS[file_format](rounding, with_arduino=with_arduino).write(policy, out)
    if rounding and (warning := warning_of(rounding, Loss(**details[rounding.name]))):
        warn(warning)
    return {
        "path": str(out),
        "format": file_format,
        "env_id": policy.env["id"],
        "algo": policy.algo,
        "bytes": out.stat().st_size,
        "active_weights": sum(len(layer.indices) for layer in policy.layers),
        "policy_digest": policy_digest(*policy.weights),
        "score": policy.about.get("score"),
        **details,
    }


def default_name(policy: PolicyFile, file_format: str, best: bool) -> str:
    """Returns such as `hopper_v5_td3.c` or `hopper_v5_td3_best.c`, which give good names in C."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", policy.env["id"])  # HalfCheetah: half_cheetah
    ending = f"_best.{file_format}" if best else f".{file_format}"
    return re.sub(r"\W+", "_", f"{words}_{policy.algo}".lower(), flags=re.ASCII) + ending
