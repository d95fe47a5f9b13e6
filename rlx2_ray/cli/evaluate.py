"""`rlx2 evaluate`: play a finished policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from rlx2_ray.api.paths import there
from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json
from rlx2_ray.config import UNLIMITED_STEPS
from rlx2_ray.types import BadInput

PolicyPath = Annotated[
    Path,
    typer.Argument(
        callback=there,
        metavar="DIR|FILE",
        help="A run directory, or a policy: a .safetensors, an exported .onnx, or an exported .c, which is compiled.",
    ),
]
Episodes = Annotated[int, typer.Option("--episodes", metavar="N", min=1, help="Noise-free episodes.")]
EvaluationSeed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the episodes.")]
MaxEpisodeSteps = Annotated[
    int | None,
    typer.Option(
        "--max-episode-steps",
        metavar="N",
        min=1,
        help="Cut episodes there.",
        show_default=f"{UNLIMITED_STEPS}, where the environment has no limit",
    ),
]
Video = Annotated[
    Path | None, typer.Option("--video", metavar="FILE.mp4", help="Film the first episode; it needs no screen.")
]
AllowNative = Annotated[
    bool,
    typer.Option(
        "--allow-native", help="Compile and run a .c that is not as this version writes it: it may do anything."
    ),
]


def evaluate(
    path: PolicyPath,
    episodes: Episodes = 10,
    seed: EvaluationSeed = 0,
    video: Video = None,
    best: options.Best = False,
    max_episode_steps: MaxEpisodeSteps = None,
    allow_native: AllowNative = False,
    allow_module: options.AllowModule = None,
    as_json: options.Json = False,
) -> None:
    """Play noise-free episodes of a run's policy (of its newest checkpoint, if it has not ended) and report returns."""
    options.allow_modules(allow_module)
    asked = Asked(path, episodes, seed, best, max_episode_steps, allow_native)
    if video is None:
        content = _play(asked)
    else:
        from rlx2_ray.experiment.film import call_with_renderer

        if not video.parent.is_dir():
            raise BadInput(f"--video is {video}, whose folder does not exist: make it, or name another file.")
        content = call_with_renderer(_film, asked, video)
    if as_json:
        print_json(content)
    else:
        mean, std = content["return_mean"], content["return_std"]
        played = f"{episodes} episode{'' if episodes == 1 else 's'}"
        typer.echo(f"{content['env_id']}: return {mean:.1f} ± {std:.1f} over {played}")


class Asked(NamedTuple):
    path: Path
    episodes: int
    seed: int
    best: bool
    max_episode_steps: int | None
    allow_native: bool


def _play(asked: Asked, video: Path | None = None) -> dict[str, Any]:
    from rlx2_ray.experiment.playback import play
    from rlx2_ray.experiment.progress import Progress
    from rlx2_ray.export.formats import load_playable

    def warn(text: str) -> None:
        typer.echo(text, err=True)

    with (
        Progress(f"{asked.path} plays") as progress,
        load_playable(asked.path, warn, asked.best, asked.allow_native) as played,
    ):
        return play(
            *(played, asked.path, asked.episodes, asked.seed, video, asked.max_episode_steps, warn),
            at=lambda episode, step: progress.at(f"episode {episode + 1} of {asked.episodes}, step {step}"),
        )


def _film(asked: Asked, video: Path) -> dict[str, Any]:
    """In a process whose renderer has been chosen."""
    from rlx2_ray.experiment.film import load_renderer

    load_renderer()
    return _play(asked, video)
