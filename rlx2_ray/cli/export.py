"""`rlx2 export`: what a run holds, as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rlx2_ray.api.paths import there
from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json
from rlx2_ray.types import BadInput

FORMATS = ("safetensors", "onnx", "c", "parquet")
EPISODES = 10

Source = Annotated[
    Path,
    typer.Argument(
        callback=there,
        metavar="DIR|FILE",
        help="A run directory that 'rlx2 train' wrote, or a policy.safetensors.",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="|".join(FORMATS),
        help="The policy: weights and indices, an ONNX model, or C99. parquet: the replay, one row a transition.",
    ),
]
Int8 = Annotated[bool, typer.Option("--int8", help="C: weights as 8-bit integers; the return lost is measured.")]
Int16 = Annotated[bool, typer.Option("--int16", help="The same with 16-bit integers, which lose next to nothing.")]
Tune = Annotated[
    bool,
    typer.Option("--tune", help="With --int8 or --int16: fit the integers to the policy's actions, half a minute."),
]
FixedPoint = Annotated[
    bool,
    typer.Option("--fixed-point", help="With --int8: all arithmetic in integers, for a chip without floating point."),
]
Arduino = Annotated[bool, typer.Option("--arduino", help="C: also as an Arduino library, a folder with a sketch.")]
Episodes = Annotated[
    int, typer.Option("--episodes", metavar="N", min=1, help="That --int8 and --int16 play before and after.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="A policy's file must not exist; of C a header, a check and examples go beside it.",
        show_default="DIR/ENV_ALGO.FORMAT, DIR/replay.parquet",
    ),
]


def export(
    path: Source,
    file_format: Format,
    out: Out = None,
    int8: Int8 = False,
    int16: Int16 = False,
    tune: Tune = False,
    fixed_point: FixedPoint = False,
    arduino: Arduino = False,
    episodes: Episodes = EPISODES,
    best: options.Best = False,
    allow_module: options.AllowModule = None,
    as_json: options.Json = False,
) -> None:
    """Write a run's policy, or its replay, as one file, even of a run that still trains (as in its newest checkpoint).

    A policy's file is run on random observations, and compared with the policy, before it is put in place.
    """
    if file_format not in FORMATS:
        raise BadInput(f"--format is {file_format!r}, which is not known: give {' or '.join(FORMATS)}.")
    if int8 and int16:
        raise BadInput("--int8 and --int16 are both given: leave one of them out.")
    if tune and not (int8 or int16):
        raise BadInput("--tune is for --int8 or --int16, and neither is given: give one, or leave --tune out.")
    if fixed_point and not int8:
        raise BadInput("--fixed-point is for --int8, which is not given: give it, or leave --fixed-point out.")
    options.allow_modules(allow_module)
    integers = "int8" if int8 else "int16" if int16 else None
    from rlx2_ray.experiment.progress import Progress

    with Progress(f"{path} is written as {file_format}, and compared with what it is of"):
        content = _export(path, file_format, out, integers, episodes, tune, fixed_point, arduino, best)
    if as_json:
        print_json(content)
    else:
        typer.echo(_sentence(content))


def _export(
    path: Path,
    file_format: str,
    out: Path | None,
    integers: str | None,
    episodes: int,
    tune: bool,
    fixed_point: bool,
    arduino: bool,
    best: bool,
) -> dict[str, Any]:
    if file_format == "parquet":
        from rlx2_ray.export.replay_export import export_replay

        if integers:
            raise BadInput(f"--{integers} is for --format c, and --format is parquet: leave it out.")
        if arduino:
            raise BadInput("--arduino is for --format c, and --format is parquet: leave it out.")
        if best:
            raise BadInput("--best is for a policy, and --format is parquet: leave it out.")
        return export_replay(path, out, _warn)
    from rlx2_ray.export.policy_export import export_policy
    from rlx2_ray.export.rounding_loss import Episodes as LossEpisodes
    from rlx2_ray.export.rounding_loss import Rounding

    rounding = Rounding(integers, LossEpisodes(episodes), tune, fixed_point) if integers else None
    return export_policy(path, file_format, out, rounding, best, _warn, arduino)


def _warn(text: str) -> None:
    typer.echo(text, err=True)


def _sentence(content: dict[str, Any]) -> str:
    if content["format"] == "parquet":
        return (
            f"{content['path']}: {content['transitions']} transitions in {content['episodes']} episodes "
            f"of {content['env_id']}, {content['bytes'] / 1e6:.1f} MB"
        )
    check, loss = content["check"], content.get("int8") or content.get("int16")
    size = content.get("table_bytes", content["bytes"])
    text = (
        f"{content['path']}: a policy for {content['env_id']}, {size / 1e3:.1f} kB"
        f"{' of tables' if 'table_bytes' in content else ''}; run by {check['by']} on random observations, its actions "
        "differ "
    )
    from_trained = f"from the trained policy's by at most {check['max_difference_from_trained']:.2g} of their bounds"
    beside = "".join(f", {Path(file).name}" for file in content.get("beside", ()))
    beside = f". Beside it: {Path(content['header']).name}{beside}" if beside else ""
    if "estimated_on_chips" in content:
        from rlx2_ray.footprint.chip_costs import sentence

        beside += f".\n{sentence(content)}"
    if not loss:
        return text + from_trained + beside
    return text + (
        f"from the rounded policy's by at most {check['max_difference']:.1g} and {from_trained} "
        f"({loss['max_difference']:.2g} where its episodes go); return {loss['return_before']:.1f} before rounding, "
        f"{loss['return_after']:.1f} after{beside}"
    )
