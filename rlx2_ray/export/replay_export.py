"""The replay of a run, even of one that still trains, as it is in the newest checkpoint, as one Parquet file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.export.identity import ROUNDED
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.replay.parquet import Contents, write_parquet
from rlx2_ray.runs.checkpoint import Checkpoint, list_checkpoints, load_newest
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.result import describe_identity, installed_versions
from rlx2_ray.types import BadInput, RunFailed, Spaces

Warn = Callable[[str], None]

SCALING = "environment's action = action_low + (action + 1) / 2 * (action_high - action_low)"


def export_replay(path: Path, out: Path | None, warn: Warn) -> dict[str, Any]:
    """Writes a run's replay. Raises BadInput where there is no run or no checkpoint, RunFailed where none is good."""
    directory, file = RunDirectory(path), out or path / "replay.parquet"
    config, _ = directory.open()
    form = RunForm(config, _spaces(config, directory))
    metadata = _metadata(config, form.spaces)

    def write(checkpoint: Checkpoint) -> Contents:
        return write_parquet(checkpoint.replay, file, metadata | {"checkpoint": checkpoint.path.name}, form.sizes)

    checkpoint, contents = _from_newest(directory, form, write, warn)
    return {
        "path": str(file),
        "format": "parquet",
        **describe_identity(config),
        **contents._asdict(),
        "bytes": file.stat().st_size,
        "env_steps": checkpoint.values["env_steps"],
        "checkpoint": str(checkpoint.path),
    }


def _from_newest(
    directory: RunDirectory, form: RunForm, write: Callable[[Checkpoint], Contents], warn: Warn
) -> tuple[Checkpoint, Contents]:
    """What `write` makes of the replay of the newest good checkpoint, and that checkpoint."""
    root = directory.checkpoints
    while listed := list_checkpoints(root):
        said: list[str] = []
        loaded = load_newest(root, form, write, said.append)
        if loaded is None and list_checkpoints(root) != listed:
            continue  # the run has gone on and removed them meanwhile
        for text in said:
            warn(text)
        if loaded is None:
            raise RunFailed(f"No checkpoint in {root} can be read: restore one from a copy.")
        return loaded
    raise BadInput(f"{directory.path} has no checkpoint yet: let it run on, or resume it.")


def _spaces(config: ExperimentConfig, directory: RunDirectory) -> Spaces:
    # A finished run says its bounds itself, so its environment need not be installed here.
    policy = directory.policy_file
    return load_policy(policy).spaces if policy.exists() else probe_spaces(config.env)


def _metadata(config: ExperimentConfig, spaces: Spaces) -> dict[str, Any]:
    """What a reader of the file has to know."""
    return {
        **describe_identity(config),
        "env_kwargs": config.env.kwargs,
        "config_hash": config.hash,
        "action_low": spaces.action_low,
        "action_high": spaces.action_high,
        "action_scaling": SCALING + (ROUNDED if spaces.action_is_integer else ""),
        "versions": installed_versions(),
    }
