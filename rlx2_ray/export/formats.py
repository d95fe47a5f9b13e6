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
from rlx2_ray.types import BadInput

Warn = Callable[[str], None]


class Format(NamedTuple):
    write: Callable[[PolicyFile, Path], dict[str, Any]]  # makes the file; what there is to say of it
    load: Callable[[Path, Warn], AbstractContextManager[Playable]]


def _safetensors(rounding: Rounding | None = None, allow_native: bool = False, with_arduino: bool = False) -> Format:
    from rlx2_ray.export import safetensors_export

    return Format(safetensors_export.write, safetensors_export.load)


def _onnx(rounding: Rounding | None = None, allow_native: bool = False, with_arduino: bool = False) -> Format:
    from rlx2_ray.export import onnx_export

    return Format(onnx_export.write, onnx_export.load)


def _c(rounding: Rounding | None = None, allow_native: bool = False, with_arduino: bool = False) -> Format:
    from rlx2_ray.export import c_export

    write = partial(c_export.write, rounding=rounding, with_arduino=with_arduino)
    return Format(write, partial(c_export.load, allow_native=allow_native))


# By the ending of the file's name. Each imports its libraries when it is asked for.
FORMATS: dict[str, Callable[..., Format]] = {"safetensors": _safetensors, "onnx": _onnx, "c": _c}
ROUNDED = "c"  # the one that can have weights as integers
NATIVE = ".c"  # the ending of the one that is code


def load_playable(
    path: Path, warn: Warn, best: bool = False, allow_native: bool = False
) -> AbstractContextManager[Playable]:
    """Loads what `rlx2 evaluate` is given, ready to act: a run's directory, or a file by the ending of its name.

    `best`: the policy of the best evaluation, which only a run has; `allow_native`: C that is not as it is written
    here, which is compiled and run. Raises BadInput where there is no policy, or it was changed.
    """
    if best:
        from rlx2_ray.export.safetensors_export import load

        return load(path, warn, best=True)
    if allow_native and path.suffix != NATIVE:
        raise BadInput(f"--allow-native is for a {NATIVE} file, and {path} is none: leave it out.")
    kind = "" if path.is_dir() else path.suffix.removeprefix(".")
    make: Callable[..., Format] = FORMATS.get(kind, _safetensors)
    return make(allow_native=allow_native).load(path, warn)
