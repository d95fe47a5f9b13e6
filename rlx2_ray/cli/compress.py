"""`rlx2 compress`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rlx2_ray import config as configuration
from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json, print_table
from rlx2_ray.cli.sweep import default_directory

Axis = Annotated[
    str | None,
    typer.Option(
        "--axis",
        metavar="tied|policy|critic|both",
        help="What is made sparse; both: each by itself, in two dimensions.",
        show_default="tied",
    ),
]
DenseSeeds = Annotated[str | None, typer.Option(metavar="N", help="Runs of the dense arm.", show_default="8")]
MaxRuns = Annotated[str | None, typer.Option(metavar="N", help="Budget, in runs.", show_default="none")]
MaxEnvSteps = Annotated[str | None, typer.Option(metavar="N", help="Budget, in env steps.", show_default="none")]
MaxHours = Annotated[str | None, typer.Option(metavar="H", help="Budget, in hours.", show_default="none")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Of the compression.", show_default="runs/NAME-TIME")
]
KEYS = {
    "axis": "axis",
    "dense_seeds": "dense_seeds",
    "concurrent": "max_concurrent",
    "max_runs": "budget.runs",
    "max_env_steps": "budget.env_steps",
    "max_hours": "budget.hours",
}


def compress(
    config_file: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG.yaml", help="Keys of a run, without sparsities, and how to search (compress)."),
    ] = None,
    env: options.Env = None,
    algo: options.Algo = None,
    method: options.Method = None,
    steps: options.Steps = None,
    engine: options.Engine = None,
    runtime: options.Runtime = None,
    axis: Axis = None,
    dense_seeds: DenseSeeds = None,
    max_runs: MaxRuns = None,
    max_env_steps: MaxEnvSteps = None,
    max_hours: MaxHours = None,
    concurrent: options.Concurrent = None,
    address: options.Address = None,
    assignments: options.Set = None,
    out: Out = None,
    tracking_uri: options.TrackingUri = None,
    experiment: options.Experiment = "rlx2",
    as_json: options.Json = False,
) -> None:
    """Find the smallest network that keeps the dense agent's return: the ultimate compression ratio of a task."""
    given = locals()
    tree = configuration.load(config_file) if config_file else {}
    for option, key in KEYS.items():
        if given[option] is not None:
            tree = configuration.merge(tree, configuration.nest(f"compress.{key}", given[option]))
    tree = configuration.merge(tree, options.read_tree(given, assignments))
    from rlx2_ray.sweep.description import parse_compress

    description = parse_compress(tree)
    from rlx2_ray.experiment.run_directory import Tracking
    from rlx2_ray.experiment.tracking_uri import default_tracking_uri
    from rlx2_ray.sweep import campaign
    from rlx2_ray.sweep.compressing import Compression

    tracking = Tracking(tracking_uri or default_tracking_uri(), experiment)
    directory = out or default_directory(config_file.stem if config_file else "compress")
    show(campaign.start(Compression(description), directory, tracking), as_json)


def show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    dense = result["dense"]
    low, high = dense["interval"]
    rows = [
        ["dense", "1.0", str(len(dense["seeds"])), f"score {dense['statistic']:.1f} [{low:.1f}, {high:.1f}]", "", ""]
    ]
    rows += [_row(decision) for decision in sorted(result["decisions"], key=lambda each: each["compression"])]
    headings = ["policy / critic sparsity", "times smaller", "seeds", "return kept", "Pr(≥ threshold)", "verdict"]
    print_table("Decisions", headings, rows)
    for message in result["messages"]:
        typer.echo(message)
    typer.echo(sentence(result["ultimate"]))
    typer.echo(f"Report: {result['report']}")


def sentence(ultimate: dict[str, Any] | None) -> str:
    """What was found, in plain words."""
    if ultimate is None:
        return "No network was found that keeps the dense return."
    what = (
        f"{ultimate['compression']:.1f} times smaller (policy {ultimate['policy_sparsity']:.1%}, critics "
        f"{ultimate['critic_sparsity']:.1%} zero): keeps {_kept(ultimate)} of the dense return, "
        f"Pr {ultimate['probability']:.2f}, {ultimate['seeds']} seeds"
    )
    if ultimate["verdict"] == "accept":
        return f"ACCEPTED: {what}. Policy: {ultimate.get('policy')}"
    return f"INCONCLUSIVE; the best candidate is {what}. Policy: {ultimate.get('policy')}"


def _row(decision: dict[str, Any]) -> list[str]:
    return [
        f"{decision['policy_sparsity']:.2%} / {decision['critic_sparsity']:.2%}",
        f"{decision['compression']:.1f}",
        str(decision["seeds"]),
        _kept(decision),
        f"{decision['probability']:.2f}",
        decision["verdict"],
    ]


def _kept(decision: dict[str, Any]) -> str:
    low, high = decision["interval"]
    return f"{decision['ratio']:.1%} [{low:.1%}, {high:.1%}]"
