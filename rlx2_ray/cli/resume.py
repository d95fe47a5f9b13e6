"""`rlx2 resume`: of a run, a sweep or a compression."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from rlx2_ray.api.paths import there
from rlx2_ray.cli import compress, options, sweep, train
from rlx2_ray.config import Tree
from rlx2_ray.experiment.population.plan_file import is_arm
from rlx2_ray.types import BadInput

RuntimeSet = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value for a key below runtime, e.g. runtime.address=auto; of a "
        "compression for compress.score, accept, max_seeds or max_dense_seeds.",
    ),
]
MaxHours = Annotated[
    str | None,
    typer.Option(metavar="H", help="Of a sweep: new budget, in hours from now on.", show_default="what is left"),
]
Concurrent = Annotated[
    str | None, typer.Option(metavar="N", help="Of a sweep: trials at a time.", show_default="as before")
]
MaxRuns = Annotated[
    str | None,
    typer.Option(metavar="N", help="Of a compression: new budget, in runs, in all.", show_default="as before"),
]
TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", metavar="URI", help="MLflow store, from now on.", show_default="as before"),
]
Directory = Annotated[
    Path,
    typer.Argument(callback=there, metavar="DIR", help="A directory that 'rlx2 train', 'sweep' or 'compress' wrote."),
]


Steps = Annotated[
    str | None,
    typer.Option(
        "--steps",
        metavar="N",
        help="Of a run, also of one that has ended: more env steps.",
        show_default="as before",
    ),
]


def resume(
    directory: Directory,
    steps: Steps = None,
    rollout_actors: Annotated[
        str | None, typer.Option(metavar="R", help="Rollout actors.", show_default="as before")
    ] = None,
    replay_shards: Annotated[
        str | None, typer.Option(metavar="S", help="Replay actors.", show_default="as before")
    ] = None,
    assignments: RuntimeSet = None,
    max_hours: MaxHours = None,
    concurrent: Concurrent = None,
    max_runs: MaxRuns = None,
    tracking_uri: TrackingUri = None,
    allow_module: options.AllowModule = None,
    as_json: options.Json = False,
) -> None:
    """Go on with a run, a sweep or a compression that was interrupted or killed, in the same MLflow runs.

    With --steps a run that has ended goes on too: its schedules, such as the end of topology events, stay as they were.
    """
    changes = options.read_tree(locals(), assignments)
    options.allow_modules(allow_module)
    if any((directory / name).exists() for name in ("sweep.yaml", "record.json")):
        _resume_campaign(directory, changes, Given(max_hours, concurrent, max_runs), tracking_uri, as_json)
        return
    for option, value in (("--max-hours", max_hours), ("--concurrent", concurrent), ("--max-runs", max_runs)):
        if value is not None:
            kind = "compression" if option == "--max-runs" else "sweep"
            raise BadInput(f"{option} is for a {kind}, and {directory} holds none: leave it out.")
    if is_arm(directory):
        _resume_arm(directory, changes, tracking_uri, as_json)
        return
    from rlx2_ray.distributed.launch import train as train_on_runtime
    from rlx2_ray.experiment import session

    train.show(session.resume(directory, train_on_runtime, changes, tracking_uri), directory, as_json)


def _resume_arm(path: Path, changes: Tree, tracking_uri: str | None, as_json: bool) -> None:
    if changes:
        raise BadInput(f"{next(iter(changes))} is fixed for runs that have begun together: leave it out.")
    from rlx2_ray.api.population import resume_seeds

    train.show_arm(resume_seeds(path, tracking_uri), as_json)


class Given(NamedTuple):
    """Options of a campaign, as text."""

    max_hours: str | None
    concurrent: str | None
    max_runs: str | None


def _resume_campaign(path: Path, changes: Tree, given: Given, tracking_uri: str | None, as_json: bool) -> None:
    from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory
    from rlx2_ray.sweep.sitting import Sitting
    from rlx2_ray.sweep.sitting import resume as resume_campaign

    with closing(SweepDirectory(path)) as directory:
        kind, result = resume_campaign(directory, Sitting(*given, changes), tracking_uri)
    (compress if kind == "compress" else sweep).show(result, as_json)
