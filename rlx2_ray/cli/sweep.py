"""`rlx2 sweep`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json, print_table
from rlx2_ray.plugins import typed

SweepFile = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG.yaml", help="Keys of a run, a param_space, how to search it (tune); or a queue of such files."
    ),
]
Archive = Annotated[
    str | None,
    typer.Option("--archive", metavar="DIR", help="Finished runs, which are not run again.", show_default="none"),
]
KEYS = {
    "concurrent": "tune.max_concurrent",
    "processes": "tune.processes",
    "max_hours": "tune.budget.hours",
    "archive": "archive",
}
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Of the sweep.", show_default="runs/NAME-TIME")]


def sweep(
    config_file: SweepFile,
    steps: options.Steps = None,
    runtime: options.Runtime = None,
    engine: options.Engine = None,
    device: options.Device = None,
    processes: options.Processes = None,
    concurrent: options.Concurrent = None,
    max_hours: options.MaxHours = None,
    archive: Archive = None,
    address: options.Address = None,
    plugins: options.Plugin = None,
    loggers: options.Logger = None,
    assignments: options.Set = None,
    out: Out = None,
    tracking_uri: options.TrackingUri = None,
    experiment: options.Experiment = None,
    as_json: options.Json = False,
) -> None:
    """Run many trials that differ in some keys, with Ray Tune, logged to MLflow below one parent run."""
    given = locals()
    changes = options.read_trials(given, assignments, KEYS)
    from rlx2_ray.sweep.description.queue import gather, parse_queue

    queue = parse_queue(typed(gather(config_file, changes)))
    from rlx2_ray.runs.directory import Tracking
    from rlx2_ray.sweep import campaign
    from rlx2_ray.sweep.sweeping import Sweep
    from rlx2_ray.tracking.uri import default_experiment, default_tracking_uri

    tracking = Tracking(tracking_uri or default_tracking_uri(), experiment or default_experiment())
    show(campaign.start(Sweep(queue), out or default_directory(config_file.stem), tracking), as_json)


def default_directory(name: str) -> Path:
    """The directory of a sweep that is given none: in the storage all nodes of a cluster see, where there is one."""
    return Path(os.environ.get("RLX2_STORAGE") or "runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    rows = [
        [
            trial["name"],
            trial["state"],
            str(trial["env_steps"]),
            *(_number(trial.get(name)) for name in ("score", "deployed")),  # a result of an earlier version has one
        ]
        for trial in result["trials"]
    ]
    print_table(f"{len(rows)} trials", ["trial", "state", "env steps", "score", "deployed"], rows)
    _show_arms(Path(result["directory"]))
    best = result["best"]
    lines = [["best trial", f"{best['name']}, {result['metric']} {best[result['metric']]:.4g}" if best else "-"]]
    lines += [[key, str(result[name])] for key, name in (("directory", "directory"), ("report", "report"))]
    print_table("", ["", ""], lines)
    if "answer" in result:  # one of an earlier version has none
        typer.echo(result["answer"])


def _show_arms(directory: Path) -> None:
    """What the seeds of each arm come to, and how the arms stand among each other."""
    if not directory.is_dir():  # it was moved since it ended
        return
    from rlx2_ray.report.page.arm_tables import terminal_tables
    from rlx2_ray.report.record.directory import read_directory

    for title, table in terminal_tables(read_directory(directory)):
        print_table(title, list(table.headings), [list(row) for row in table.rows])


def _number(score: float | None) -> str:
    return "-" if score is None else f"{score:.1f}"
