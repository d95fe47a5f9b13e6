"""Whatever `rlx2 evaluate` is given, ready to act: a run, a policy file, or one of the exported files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rlx2_ray.experiment.playback import Playable, find_policy, playable
from rlx2_ray.export.identity import Identity, InUnits
from rlx2_ray.types import Floats

Warn = Callable[[str], None]


@contextmanager
def load_playable(path: Path, warn: Warn, best: bool = False) -> Iterator[Playable]:
    """By the name's end; `best` is for runs. Raises BadInput where there is no policy, or it was changed."""
    if best:
        yield playable(find_policy(path, warn, best))
    elif path.suffix == ".onnx":
        from rlx2_ray.export.onnx_model import read_model

        yield _in_units(*read_model(path))
    elif path.suffix == ".c":
        with tempfile.TemporaryDirectory(prefix="rlx2-") as folder:
            yield _load_c(path, Path(folder), warn)
    else:
        yield playable(find_policy(path, warn))


def _load_c(path: Path, folder: Path, warn: Warn) -> Playable:
    """Compiled, or where there is no compiler what its tables say."""
    from rlx2_ray.export.c_compiler import Library, find_compiler
    from rlx2_ray.export.c_reader import read_source

    source = read_source(path)
    compiler = find_compiler()
    if compiler is None:
        warn(f"There is no C compiler here, so the tables in {path} are played without its code.")
        return _in_units(source.identity, source.act)
    return _in_units(source.identity, Library(compiler, source, folder).act)


def _in_units(identity: Identity, act: Callable[[Floats], Floats]) -> Playable:
    policy = InUnits(act, identity.spaces)
    return Playable(policy, identity.env, identity.spaces, identity.policy_digest)
