"""The record of a campaign whose record.json is lost: made again of its trials, and of the file that describes it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from rlx2_ray import config as configuration
from rlx2_ray.report.record.file import RECORD_FILE
from rlx2_ray.report.record.record import Record, TrackedRun
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.parts import Origin
from rlx2_ray.types import BadInput, Damaged

DESCRIPTION_FILE = "sweep.yaml"


def rebuild(path: Path) -> Record:
    """Returns what can be known of it. Raises Damaged where no trial says which campaign it is of."""
    tree = configuration.load_stored(path / DESCRIPTION_FILE)
    kind = "compress" if "compress" in tree else "sweep"
    found = list(itertools.islice(_origins(path / "trials"), 1))
    if not found:
        raise Damaged(
            f"{path / RECORD_FILE} is missing or damaged, and no trial tells what was in it: restore it from a copy, "
            "or begin anew in another directory."
        )
    name, origin = found[0]
    return Record(
        kind,
        path.name,
        state="interrupted",
        started=min(file.stat().st_mtime for file in (path / "trials").glob("*/config.yaml")),
        tracking=TrackedRun(origin.tracking_uri, origin.experiment, origin.parent_run_id),
        key=origin.trial_key.removesuffix(f"-{name}"),
        messages=(
            f"{path / RECORD_FILE} was missing or damaged, and was made again of the trials: hours that were worked "
            "and trials that a scheduler had stopped are no longer known.",
        ),
        config=tree,
    )


def _origins(trials: Path) -> Iterator[tuple[str, Origin]]:
    for path in sorted(trials.glob("*")):
        try:
            _, origin = RunDirectory(path).open()
        except BadInput:
            continue
        if origin.trial_key.endswith(f"-{path.name}"):
            yield path.name, origin
