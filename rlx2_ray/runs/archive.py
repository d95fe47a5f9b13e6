"""A folder of finished runs, one file each (`archived_run`): added from any machine, found again, never edited.

A file's name says which experiment it is: `Hopper-v5-td3-rlx2-s0-0123456789abcdef.parquet`, where the digits change
with any value of the configuration but for where and on how many actors it ran, and its checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import closing
from pathlib import Path

from rlx2_ray import files
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.runs.archived_run import ArchivedRun, is_same, parse, read, read_config, to_bytes
from rlx2_ray.runs.directory import RunDirectory, Tracking, reason
from rlx2_ray.tracking.uri import default_tracking_uri
from rlx2_ray.types import BadInput

SUFFIX = ".parquet"
NOT_THE_EXPERIMENT = {"runtime", "checkpoint"}


def add(run_dir: Path, folder: Path) -> Path:
    """Archive a finished run, and return its file: the one that is there already where it has been added before.

    Raises BadInput where it is not finished or damaged, the folder cannot be written, or another run of the same
    experiment is there.
    """
    directory = RunDirectory(run_dir)
    config, _ = directory.open()
    result, points = directory.read_whole()
    if result is None:
        raise BadInput(f"{run_dir} is not finished: 'rlx2 resume {run_dir}' goes on.")
    content = to_bytes(config.model_dump(mode="json"), result, points, run_dir)
    file = find(config, folder) or folder / f"{_stem(config)}-{identity(config)}{SUFFIX}"
    if not file.exists():
        return _write(file, content)
    if not is_same(read(file), parse(content, file)):
        raise BadInput(
            f"{file} is another run of the experiment in {run_dir}, and no archived run is ever edited: leave it "
            "out, or give another folder."
        )
    return file


def find(config: ExperimentConfig, folder: Path) -> Path | None:
    """Find the file of the run that has this configuration; it may have been written before some of today's keys.

    Raises BadInput where a file of the same environment, algorithm, method and seed cannot be read.
    """
    wanted = identity(config)
    found = [file for file in list_runs(folder) if _is_named(file, config)]
    return next((file for file in found if identity(read_config(file)) == wanted), None)


def read_named(file: Path) -> ArchivedRun:
    """Read a file of an archive. Raises BadInput where it is no archived run, or another one than its name says."""
    run = read(file)
    if not _is_named(file, run.config):
        raise BadInput(f"{file} is not named as 'rlx2 archive' names the run that it is: move it elsewhere.")
    return run


def restore(run: ArchivedRun, run_dir: Path, tracking: Tracking | None = None) -> None:
    """Make `run_dir` the directory of the finished run, without its policy and checkpoints.

    `tracking`: what its run.json names; nothing is sent there. Raises BadInput where the directory is used.
    """
    with closing(RunDirectory(run_dir)) as directory:
        directory.check_unused()
        directory.create(run.config, tracking or Tracking(default_tracking_uri(), "rlx2"))
        directory.write_points(run.points)
        directory.write_result(run.result)


def list_runs(folder: Path) -> list[Path]:
    """The archived runs in a folder, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def identity(config: ExperimentConfig) -> str:
    """A digest of 16 hex digits, the same for configurations that only differ in where they run."""
    tree = {key: value for key, value in config.canonical().items() if key not in NOT_THE_EXPERIMENT}
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def _stem(config: ExperimentConfig) -> str:
    env = re.sub(r"[^A-Za-z0-9.]+", "-", config.env.id)  # ids may have slashes and colons
    return f"{env}-{config.algo}-{config.method}-s{config.seed}"


def _is_named(file: Path, config: ExperimentConfig) -> bool:
    """Whether it has the name of such a run; the digits are those of the version that wrote it."""
    return re.fullmatch(rf"{re.escape(_stem(config))}-[0-9a-f]{{16}}{re.escape(SUFFIX)}", file.name) is not None


def _write(file: Path, content: bytes) -> Path:
    """Whole or not at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, content)
    except OSError as error:
        raise BadInput(f"{file} cannot be written ({reason(error)}): make room, or give another folder.") from None
    return file
