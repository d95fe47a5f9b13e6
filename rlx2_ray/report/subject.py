"""What a person names to be reported: an archive, a campaign, a run, or a folder that holds some of these."""

from __future__ import annotations

from pathlib import Path

from rlx2_ray.report.archive.tasks import read_archive
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.report.record.file import RECORD_FILE
from rlx2_ray.report.record.rebuild import DESCRIPTION_FILE
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.directory import runs_below
from rlx2_ray.types import BadInput

TRIALS = "trials"


def is_archive(path: Path) -> bool:
    """A run has a configuration; what is left of a folder with Parquet files is an archive."""
    return any(path.glob("*.parquet")) and not (path / "config.yaml").exists()


def read_records(path: Path) -> list[Record]:
    """Returns the records of a directory, of whichever kind: of an archive one a task.

    Raises BadInput where there is none, or it is damaged.
    """
    if not path.is_dir():
        raise BadInput(f"{path} is no directory: give that of an archive, a run or a sweep, or a folder of runs.")
    if is_archive(path):
        return list(read_archive(path).records)
    if _is_campaign(path) or (path / "config.yaml").exists():
        return [read_directory(path)]
    found = dict.fromkeys(_campaign_of(run) or run for run in runs_below(path))
    return [read_directory(each) for each in found]


def _campaign_of(run: Path) -> Path | None:
    folder = run.parent.parent
    return folder if run.parent.name == TRIALS and _is_campaign(folder) else None


def _is_campaign(path: Path) -> bool:
    return any((path / name).exists() for name in (RECORD_FILE, DESCRIPTION_FILE))
