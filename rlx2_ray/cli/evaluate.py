"""`rlx2 evaluate`: play a finished policy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json
from rlx2_ray.types import BadInput

PolicyPath = Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A run directory, or a policy.safetensors.")]
Episodes = Annotated[int, typer.Option("--episodes", metavar="N", min=1, help="Noise-free episodes.")]
EvaluationSeed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the episodes.")]
Video = Annotated[Path | None, typer.Option("--video", metavar="FILE.mp4", help="Film the first episode.")]


def evaluate(
    path: PolicyPath,
    episodes: Episodes = 10,
    seed: EvaluationSeed = 0,
    video: Video = None,
    as_json: options.Json = False,
) -> None:
    """Play noise-free episodes of a run's policy (of its newest checkpoint, if it has not ended) and report returns."""
    if video is not None:
        _prepare_rendering(video)
    from rlx2_ray.experiment.playback import play

    content = play(path, episodes, seed, video, warn=lambda text: typer.echo(text, err=True))
    if as_json:
        print_json(content)
    else:
        mean, std = content["return_mean"], content["return_std"]
        typer.echo(f"{content['env_id']}: return {mean:.1f} ± {std:.1f} over {episodes} episodes")


def _prepare_rendering(video: Path) -> None:
    """MuJoCo chooses its renderer when it is first imported; without a screen it needs EGL or OSMesa."""
    if not video.parent.is_dir():
        raise BadInput(f"--video is {video}, whose folder does not exist: make it, or name another file.")
    if "DISPLAY" not in os.environ:
        os.environ.setdefault("MUJOCO_GL", "egl")
    from rlx2_ray.envs.make import quieten_mujoco

    try:
        quieten_mujoco()  # imports it
    except Exception as error:  # whatever its OpenGL bindings raise
        reason = " ".join(str(error).split()).rstrip(".")
        raise BadInput(
            f"--video needs a renderer, and MUJOCO_GL is {os.environ.get('MUJOCO_GL')!r}, which does not work here "
            f"({reason}): set it to egl, osmesa or glfw, whichever is installed."
        ) from None
