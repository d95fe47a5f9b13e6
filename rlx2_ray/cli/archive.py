"""`rlx2 archive`: keep finished runs, one small file each, for tables that grow from many machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rlx2_ray import config as configuration
from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json
from rlx2_ray.types import Damaged

Directories = Annotated[
    list[Path],
    typer.Argument(metavar="DIR", help="Runs, sweeps, compressions, or folders of them; finished runs are taken."),
]
Into = Annotated[Path, typer.Option("--into", metavar="DIR", help="The archive, made where it is not there.")]
Paths = list[Path]


def archive(directories: Directories, into: Into = Path("results/runs"), as_json: options.Json = False) -> None:
    """Add finished runs to an archive, one Parquet file each; `rlx2 report` makes the tables of it."""
    from rlx2_ray.experiment.progress import Progress
    from rlx2_ray.runs.archive import list_runs
    from rlx2_ray.runs.directory import runs_below

    groups: dict[str, Paths] = {"added": [], "there": [], "unfinished": [], "changing": [], "damaged": []}
    known = set(list_runs(into))
    runs = [run for directory in directories for run in runs_below(directory)]
    with Progress(f"Runs are added to {into}") as progress:
        for number, run in enumerate(runs, start=1):
            progress.at(f"{number} of {len(runs)}")
            kind, path = _add(run, into, known, is_named=run in directories)
            groups[kind].append(path)
    if as_json:
        print_json({"archive": str(into)} | {name: [str(path) for path in paths] for name, paths in groups.items()})
    else:
        _show(into, **groups)


def _add(run: Path, into: Path, known: set[Path], is_named: bool) -> tuple[str, Path]:
    """Add a run that is finished; what became of it, and its file or directory. Raises Damaged where it `is_named`."""
    from rlx2_ray.runs.archive import add

    if not (run / "result.json").exists():
        return "unfinished", run
    if _changed_while_it_ran(run):
        return "changing", run
    try:
        file = add(run, into)
    except Damaged as damage:
        if is_named:
            raise
        typer.echo(f"left out, damaged: {damage}", err=True)
        return "damaged", run
    is_known = file in known
    known.add(file)
    return "there" if is_known else "added", file


def _changed_while_it_ran(run: Path) -> bool:
    """A trial of population-based training has had other values than the ones it ended with."""
    from rlx2_ray.sweep.description.tune_section import scheduler_name

    description = run.parent.parent / "sweep.yaml"
    if run.parent.name != "trials" or not description.exists():
        return False
    return scheduler_name(configuration.load_stored(description)) == "pbt"


def _show(into: Path, added: Paths, there: Paths, unfinished: Paths, changing: Paths, damaged: Paths) -> None:
    for file in added:
        typer.echo(f"added {file.name}")
    for run in unfinished:
        typer.echo(f"left out, unfinished: {run}")
    for run in changing:
        typer.echo(f"left out, its values changed while it ran (pbt): {run}")
    left_out = len(unfinished) + len(changing) + len(damaged)
    typer.echo(f"{into}: {len(added)} added, {len(there)} there already, {left_out} left out")
