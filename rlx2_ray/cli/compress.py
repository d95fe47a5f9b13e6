"""`rlx2 compress`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlx2_ray import config as configuration
from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json, print_table
from rlx2_ray.cli.sweep import default_directory
from rlx2_ray.plugins import typed
from rlx2_ray.runs.scores import OTHER

if TYPE_CHECKING:  # `rlx2 --help` comes by here
    from rlx2_ray.report.record.record import SizedDecision

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
MaxRuns = Annotated[
    str | None, typer.Option(metavar="N", help="Budget, in runs.", show_default="67, or 96 where the axis is both")
]
MaxEnvSteps = Annotated[str | None, typer.Option(metavar="N", help="Budget, in env steps.", show_default="none")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Of the compression.", show_default="runs/NAME-TIME")
]
Score = Annotated[
    str | None,
    typer.Option(
        "--score",
        metavar="final|deployed",
        help="What decides: the mean of a run's last evaluations, or what the policy that it hands out comes to on "
        "fresh episodes. The other one is stated beside it.",
        show_default="final",
    ),
]
DenseArchive = Annotated[
    str | None,
    typer.Option("--archive", metavar="DIR", help="Finished runs, of which dense ones are not run again.",
                 show_default="none"),
]  # fmt: skip
Objective = Annotated[
    str | None,
    typer.Option(
        "--objective",
        metavar="weights|bytes|latency",
        help="What is to be small: weights, bytes of the policy as C, or microseconds of its action on a chip.",
        show_default="weights",
        autocompletion=options.among("weights", "bytes", "latency"),
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        metavar="NAME,NAME,...",
        help="Methods that are searched one after the other, against one dense arm and within one budget.",
        show_default="that of --method",
    ),
]
TIMES = {"weights": "times smaller", "bytes": "times fewer bytes as C", "latency": "times less time an action"}
KEYS = {
    "objective": "compress.objective",
    "methods": "compress.methods",
    "score": "compress.score",
    "axis": "compress.axis",
    "dense_seeds": "compress.dense_seeds",
    "archive": "compress.archive",
    "concurrent": "compress.max_concurrent",
    "processes": "compress.processes",
    "max_runs": "compress.budget.runs",
    "max_env_steps": "compress.budget.env_steps",
    "max_hours": "compress.budget.hours",
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
    device: options.Device = None,
    processes: options.Processes = None,
    methods: Methods = None,
    objective: Objective = None,
    axis: Axis = None,
    score: Score = None,
    dense_seeds: DenseSeeds = None,
    archive: DenseArchive = None,
    max_runs: MaxRuns = None,
    max_env_steps: MaxEnvSteps = None,
    max_hours: options.MaxHours = None,
    concurrent: options.Concurrent = None,
    address: options.Address = None,
    plugins: options.Plugin = None,
    loggers: options.Logger = None,
    assignments: options.Set = None,
    out: Out = None,
    tracking_uri: options.TrackingUri = None,
    experiment: options.Experiment = None,
    as_json: options.Json = False,
) -> None:
    """Find the smallest network that keeps the dense agent's return: the ultimate compression ratio of a task."""
    given = locals()
    tree = configuration.load(config_file) if config_file else {}
    tree = typed(configuration.merge(tree, options.read_trials(given, assignments, KEYS)))
    from rlx2_ray.sweep.description.files import parse_compress

    description = parse_compress(tree)
    from rlx2_ray.runs.directory import Tracking
    from rlx2_ray.sweep import campaign
    from rlx2_ray.sweep.compression.campaign import Compression
    from rlx2_ray.tracking.uri import default_experiment, default_tracking_uri

    tracking = Tracking(tracking_uri or default_tracking_uri(), experiment or default_experiment())
    directory = out or default_directory(config_file.stem if config_file else "compress")
    show(campaign.start(Compression(description), directory, tracking), as_json)


def show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    from rlx2_ray.report.page.answer import answer
    from rlx2_ray.sweep.compression.words import dense_sentence
    from rlx2_ray.sweep.desk.result_file import record_of

    record = record_of(result)
    headings = ["zeros, %", "times", "runs", record.score, "Pr", OTHER[record.score], "verdict"]
    headings = ["method"] * any(each.method for each in record.decisions) + headings
    decisions = sorted(record.decisions, key=_times)
    title = (
        f"Zeros of policy and critics, {TIMES[record.objective]} and return kept (%) of {len(decisions)} networks, "
        "by both scores; "
        f"Pr of keeping {record.threshold:.0%} by the {record.score} one"
    )
    print_table(title, headings, [_row(decision)[-len(headings) :] for decision in decisions])
    for message in record.messages:
        typer.echo(message)
    if record.dense is not None:
        typer.echo(f"{dense_sentence(record.dense, record.score)}.")
    typer.echo(result.get("answer") or answer(record))  # a result of an earlier version has none
    if record.ultimate is not None:
        typer.echo(f"Policy: {record.ultimate.policy}")
    typer.echo(f"Report: {result['report']}")


def _times(decision: SizedDecision) -> float:
    """How many times less than dense, by the objective."""
    return decision.cost.times if decision.cost else decision.compression


def _row(decision: SizedDecision) -> list[str]:
    other = decision.other
    return [
        decision.method or "-",
        f"{100 * decision.policy_sparsity:.2f}/{100 * decision.critic_sparsity:.2f}",
        f"{_times(decision):.1f}x",
        str(decision.seeds),
        _kept(decision.ratio, decision.interval),
        f"{decision.probability:.2f}",
        "-" if other is None else _kept(other.ratio, other.interval),
        decision.verdict,
    ]


def _kept(ratio: float, interval: tuple[float, float]) -> str:
    low, high = (f"{100 * bound:.0f}" for bound in interval)
    return f"{100 * ratio:.0f} {low}-{high}"
