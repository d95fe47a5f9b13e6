"""`rlx2 describe`: what would be trained, without training it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json, print_table
from rlx2_ray.config import ExperimentConfig

if TYPE_CHECKING:
    from rlx2_ray.runs.description import Description

ObservationSize = Annotated[
    int | None,
    typer.Option("--observation-size", metavar="N", help="Instead of the environment's; needs --action-size."),
]
ActionSize = Annotated[int | None, typer.Option("--action-size", metavar="N", help="Instead of the environment's.")]


@options.configured(*options.OF_A_RUN)
def describe(
    config: ExperimentConfig,
    observation_size: ObservationSize = None,
    action_size: ActionSize = None,
    as_json: options.Json = False,
) -> None:
    """Layer shapes, sparsities, active weights, size and FLOPs of an agent. Runs and writes nothing."""
    from rlx2_ray.api.description import describe_config
    from rlx2_ray.experiment.progress import Progress

    with Progress(f"{config.env.id} is made"):
        content = describe_config(config, observation_size, action_size)
    if as_json:
        print_json(content)
    else:
        _print_tables(content)


def _print_tables(content: Description) -> None:
    layers = content["policy"]["layers"] + content["critic"]["layers"]
    rows = [
        [layer["name"], "{} x {}".format(*layer["shape"]), f"{layer['sparsity']:.3f}", str(layer["active"])]
        for layer in layers
    ]
    title = f"{content['env_id']}, {content['algo'].upper()}, {content['method']}"
    print_table(title, ["layer", "outputs x inputs", "sparsity", "active weights"], rows)
    ratios = (
        ("size", content["size_ratio"]),
        ("training FLOPs, the paper's count", content["train_flops_ratio_paper"]),
        ("training FLOPs, as done here", content["train_flops_ratio_counted"]),
        ("inference FLOPs", content["inference_flops_ratio"]),
    )
    ratio_rows = [[name, f"{ratio:.3f}", f"{1 / ratio:.1f}"] for name, ratio in ratios]
    print_table("Against the dense agent", ["", "ratio", "times smaller"], ratio_rows)
    for sentence in content["applied"]:
        typer.echo(f"{sentence}.")
    if content["observation_parts"]:
        parts = ", ".join(f"{part['key']} ({part['size']})" for part in content["observation_parts"])
        typer.echo(f"Observations are flattened, in this order: {parts}.")
