"""Checkpoints read and altered, with their digests made again, as whoever alters one would."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save

from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.runs.checkpoint import ARRAYS, CHECKSUMS, VALUES, list_checkpoints
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.directory import RunDirectory


class AnyForm:
    """Checkpoints of any content."""

    most_values = 1 << 30

    def values(self, env_steps: int, content: Any) -> dict[str, Any]:
        return dict(content)

    def most_arrays(self, values: dict[str, Any]) -> tuple[int, int]:
        return 1 << 30, 1 << 20

    def arrays(self, values: dict[str, Any], arrays: Arrays) -> Arrays:
        return arrays


def form_of(directory: Path) -> RunForm:
    """That of the run in `directory`."""
    config, _ = RunDirectory(directory).open()
    return RunForm(config, probe_spaces(config.env))


def newest(directory: Path) -> Path:
    """The newest checkpoint of the run in `directory`."""
    return list_checkpoints(RunDirectory(directory).checkpoints)[-1]


def alter_arrays(checkpoint: Path, alter: Callable[[Arrays], object]) -> None:
    arrays = {name: array.copy() for name, array in load_file(checkpoint / ARRAYS).items()}
    alter(arrays)
    rewrite(checkpoint, ARRAYS, save(arrays))


def alter_values(checkpoint: Path, alter: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((checkpoint / VALUES).read_text())
    alter(values)
    rewrite(checkpoint, VALUES, json.dumps(values).encode())


def rewrite(checkpoint: Path, name: str, content: bytes) -> None:
    """Let a file of a checkpoint be this, and its digest that of it."""
    replace(checkpoint / name, content)
    checksums: MutableMapping[str, Any] = json.loads((checkpoint / CHECKSUMS).read_text())
    checksums[name] = hashlib.sha256(content).hexdigest()
    replace(checkpoint / CHECKSUMS, json.dumps(checksums).encode())


def alter_index(folder: Path, alter: Callable[[dict[str, Any]], object]) -> None:
    """Change the index of a replay's snapshot."""
    content = json.loads((folder / "index.json").read_text())["content"]
    alter(content)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    replace(folder / "index.json", json.dumps({"sha256": digest, "content": content}).encode())


def replace(path: Path, content: bytes) -> None:
    """Write a file anew; the old one may stand in other places, too."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
