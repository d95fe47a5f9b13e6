"""`rlx2 report`: what a sweep, a compression or a run came to, as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json
from rlx2_ray.types import BadInput

if TYPE_CHECKING:  # a command pays for its own imports alone
    from rlx2_ray.report.record.record import Record

Subject = Annotated[
    str,
    typer.Argument(
        metavar="DIR|EXPERIMENT",
        help="A directory of 'rlx2 sweep', 'compress' or 'train', even unfinished; an archive of 'rlx2 archive'; or an "
        "MLflow experiment, of which the newest sweep or compression is reported, or its plain runs.",
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="html|markdown|csv|latex|json|png|svg",
        help="html: with figures. markdown: text and tables. csv, latex, json: arms and P(A above B). png, svg: a file "
        "for each figure.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Replaced where it exists.", show_default="DIR/report.html, or EXPERIMENT.html"
    ),
]
Content = dict[str, Any]
SUFFIXES = {
    **{"html": ".html", "markdown": ".md", "csv": ".csv", "latex": ".tex", "json": ".json", "png": ".png"},
    "svg": ".svg",
}
PAGES = ("html", "markdown")


def report(
    subject: Subject,
    tracking_uri: options.TrackingUri = None,
    out: Out = None,
    file_format: Format = "html",
    as_json: options.Json = False,
) -> None:
    """Write one self-contained file: verdict, tables in the paper's format, figures, every seed's score, protocol.

    Or, by --format, the arms and how they stand among each other, as data, as a table of a paper, or as figures.
    """
    if file_format not in SUFFIXES:
        raise BadInput(f"--format is {file_format!r}, which is not known: give {' or '.join(SUFFIXES)}.")
    path = out or _default_path(subject, file_format)
    from rlx2_ray.experiment.progress import Progress

    with Progress(f"{subject} is read, and {path} written"):
        content, said = _write(subject, tracking_uri, path, file_format)
    if as_json:
        print_json({"format": file_format} | content)
    else:
        typer.echo(said)


def _write(subject: str, tracking_uri: str | None, path: Path, file_format: str) -> tuple[Content, str]:
    """Writes the file or the files; what there is to say of them, as data and as text."""
    from rlx2_ray.report.subject import is_archive, read_records

    if file_format not in PAGES:
        records = read_records(Path(subject)) if Path(subject).is_dir() else [read_record(subject, tracking_uri)]
        files = [str(file) for file in _write_files(records, path, file_format)]
        return {"files": files}, "\n".join(files)
    write = _report_archive if is_archive(Path(subject)) else _report_record
    content = write(subject, tracking_uri, path, file_format)
    return {"path": str(path), "bytes": path.stat().st_size} | content, f"{content['headline']}\n{path}"


def _write_files(records: list[Record], path: Path, file_format: str) -> list[Path]:
    from rlx2_ray.report.analysis.standings import standings

    if not any(standings(record) for record in records):
        raise BadInput(f"No run of {records[0].name} has a score yet, so there is nothing to compare: let it run on.")
    if file_format in ("csv", "json"):
        from rlx2_ray.report.files.data import write_csv, write_json

        return (write_csv if file_format == "csv" else write_json)(records, path)
    if file_format == "latex":
        from rlx2_ray.report.files.latex import write_latex

        return write_latex(records, path)
    from rlx2_ray.report.files.pictures import write_pictures

    return write_pictures(records, path)


def _report_record(subject: str, tracking_uri: str | None, path: Path, file_format: str) -> Content:
    record = read_record(subject, tracking_uri)
    from rlx2_ray.report.page.answer import answer
    from rlx2_ray.report.page.page import write_markdown, write_report

    (write_report if file_format == "html" else write_markdown)(record, path)
    content = {"kind": record.kind, "name": record.name, "state": record.state, "runs": len(record.trials)}
    return content | {"headline": answer(record)}


def _report_archive(subject: str, tracking_uri: str | None, path: Path, file_format: str) -> Content:
    from rlx2_ray.report.archive.report import summary_of, write_markdown, write_report
    from rlx2_ray.report.archive.tasks import read_archive

    archive = read_archive(Path(subject))
    (write_report if file_format == "html" else write_markdown)(archive, path)
    return summary_of(archive)


def read_record(subject: str, tracking_uri: str | None) -> Record:
    """Read the record of a directory of that name, or else of an experiment. Raises BadInput where there is neither."""
    if Path(subject).is_dir():
        from rlx2_ray.report.record.directory import read_directory

        return read_directory(Path(subject))
    from rlx2_ray.report.record.store import read_experiment
    from rlx2_ray.tracking.reader import TrackingReader
    from rlx2_ray.tracking.uri import default_tracking_uri

    try:
        reader = TrackingReader(tracking_uri or default_tracking_uri())
    except BadInput as problem:
        raise BadInput(f"{subject} is no directory, so it would be an experiment. {problem}") from None
    return read_experiment(reader, subject)


def _default_path(subject: str, file_format: str) -> Path:
    suffix = SUFFIXES[file_format]
    if Path(subject).is_dir():
        return Path(subject) / f"report{suffix}"
    return Path(subject.replace("/", "-") + suffix)
