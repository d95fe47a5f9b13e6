"""The formats of a policy's file: how each is written, and how it is read back and played."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray.experiment.playback import Playable
from rlx2_ray.export.rounding_loss import Rounding
from rlx2_ray.networks.policy_file import PolicyFile

Warn = Callable[[str], None]


class Format(NamedTuple):
    write: Callable[[PolicyFile, Path], dict[str, Any]]  # makes the file; what there is to say of it
    load: Callable[[Path, Warn], AbstractContextManager[Playable]]


def _safetensors(rounding: Rounding | None) -> Format:
    from rlx2_ray.export import safetensors_export

    return Format(safetensors_export.write, safetensors_export.load)


def _onnx(rounding: Rounding | None) -> Format:
    from rlx2_ray.export import onnx_export

    return Format(onnx_export.write, onnx_export.load)


def _c(rounding: Rounding | None) -> Format:
    from rlx2_ray.export import c_export

    return Format(partial(c_export.write, rounding=rounding), c_export.load)


# By the ending of the file's name. Each imports its libraries when it is asked for.
FORMATS: dict[str, Callable[[Rounding | None], Format]] = {"safetensors": _safetensors, "onnx": _onnx, "c": _c}
ROUNDED = "c"  # the one that can have weights as integers


def load_playable(path: Path, warn: Warn, best: bool = False) -> AbstractContextManager[Playable]:
    """Loads what `rlx2 evaluate` is given, ready to act: a run's directory, or a file by the ending of its name.

    `best`: the policy of the best evaluation, which only a run has. Raises BadInput where there is no policy, or it was
    changed.
    """
    if best:
        from rlx2_ray.export.safetensors_export import load

        return load(path, warn, best=True)
    return FORMATS.get(path.suffix.removeprefix("."), _safetensors)(None).load(path, warn)
