"""`rlx2 export`: what a run holds, as files that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.types import BadInput, RunFailed

if TYPE_CHECKING:  # a command pays for its own imports alone
    from rlx2_ray.experiment.checkpoint import Checkpoint
    from rlx2_ray.experiment.run_directory import RunDirectory
    from rlx2_ray.replay.parquet import Contents

Content = dict[str, Any]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory that 'rlx2 train' wrote.")]
Format = Annotated[str, typer.Option("--format", metavar="parquet", help="parquet: the replay, one row a transition.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Replaced where it exists.", show_default="DIR/replay.parquet"),
]

SCALING = "environment's action = action_low + (action + 1) / 2 * (action_high - action_low)"


def export(path: Directory, file_format: Format, out: Out = None, as_json: options.Json = False) -> None:
    """Write the replay of a run, even of one that still trains, as it is in the newest checkpoint, as one file."""
    if file_format not in FORMATS:
        raise BadInput(f"--format is {file_format!r}, which is not known: give {' or '.join(FORMATS)}.")
    content = FORMATS[file_format](path, out)
    if as_json:
        print_json(content)
    else:
        typer.echo(
            f"{content['path']}: {content['transitions']} transitions in {content['episodes']} episodes "
            f"of {content['env_id']}, {content['bytes'] / 1e6:.1f} MB"
        )


def export_replay(path: Path, out: Path | None) -> Content:
    """The replay as Parquet. Raises BadInput where there is no run or no checkpoint, RunFailed where none is good."""
    from rlx2_ray.experiment.result import describe_identity
    from rlx2_ray.experiment.run_directory import RunDirectory
    from rlx2_ray.replay.parquet import write_parquet

    directory, file = RunDirectory(path), out or path / "replay.parquet"
    config, _ = directory.open()
    metadata = _metadata(config, directory)

    def write(replay: Path) -> Contents:
        return write_parquet(replay, file, metadata | {"checkpoint": replay.parent.name})

    checkpoint, contents = _from_newest(directory, write)
    return {
        "path": str(file),
        "format": "parquet",
        **describe_identity(config),
        **contents._asdict(),
        "bytes": file.stat().st_size,
        "env_steps": checkpoint.values["env_steps"],
        "checkpoint": str(checkpoint.path),
    }


FORMATS: dict[str, Callable[[Path, Path | None], Content]] = {"parquet": export_replay}


def _from_newest(directory: RunDirectory, write: Callable[[Path], Contents]) -> tuple[Checkpoint, Contents]:
    """What `write` makes of the replay of the newest good checkpoint, and that checkpoint."""
    from rlx2_ray.experiment.checkpoint import list_checkpoints, load_newest

    root = directory.checkpoints
    while listed := list_checkpoints(root):
        said: list[str] = []
        loaded = load_newest(root, write, said.append)
        if loaded is None and list_checkpoints(root) != listed:
            continue  # the run has gone on and removed them meanwhile
        for text in said:
            typer.echo(text, err=True)
        if loaded is None:
            raise RunFailed(f"No checkpoint in {root} can be read: restore one from a copy.")
        return loaded
    raise BadInput(f"{directory.path} has no checkpoint yet: let it run on, or resume it.")


def _metadata(config: ExperimentConfig, directory: RunDirectory) -> Content:
    """What a reader of the file has to know."""
    from rlx2_ray.envs.make import probe_spaces
    from rlx2_ray.experiment.result import describe_identity, installed_versions
    from rlx2_ray.networks.policy_file import load_policy

    # A finished run says its bounds itself, so its environment need not be installed here.
    policy = directory.policy_file
    spaces = load_policy(policy).spaces if policy.exists() else probe_spaces(config.env)
    return {
        **describe_identity(config),
        "env_kwargs": config.env.kwargs,
        "config_hash": config.hash,
        "action_low": spaces.action_low,
        "action_high": spaces.action_high,
        "action_scaling": SCALING,
        "versions": installed_versions(),
    }
