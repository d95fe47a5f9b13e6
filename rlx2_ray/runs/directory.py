"""The directory of one run: what is in it, who may write to it, and what is read back when the run goes on."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, get_args

from rlx2_ray import config as configuration
from rlx2_ray import files
from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.runs import parts, sealed
from rlx2_ray.runs.checkpoint import copy_checkpoint, finish_copy, list_checkpoints, original
from rlx2_ray.runs.lock import FolderLock, check_no_link
from rlx2_ray.runs.parts import Origin, Point
from rlx2_ray.tracking.tracker import Status
from rlx2_ray.tracking.uri import redacted
from rlx2_ray.types import BadInput, Damaged, RunFailed

NEEDED = {"env", "algo", "steps", "seed"}  # keys that every version has written to config.yaml
OF_EVALUATION = ("env_steps", "return_mean", "return_std")  # what a result repeats of every point


class Tracking(NamedTuple):
    """Where a run is tracked in MLflow, and as what."""

    uri: str
    experiment: str
    trial_key: str | None = None  # None: one of its own, unlike that of any other run
    parent_run_id: str | None = None  # of the sweep that the run is a trial of
    tags: dict[str, str] = {}


class Waiting(NamedTuple):
    """What MLflow has not got of a run that has ended, or stopped."""

    status: Status  # with which
    points: int

    def sentence(self, path: Path) -> str:
        """Says how it gets there, of a run or a sweep in `path`."""
        what = "1 point waits" if self.points == 1 else f"{self.points} points wait" if self.points else "Its end waits"
        return f"{what} for MLflow: 'rlx2 resume {path}' delivers {'them' if self.points > 1 else 'it'}."


class RunDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.config_file = path / "config.yaml"
        self.policy_file = path / "policy.safetensors"  # of the end of the run
        self.best_policy_file = path / "best_policy.safetensors"  # of the best evaluation so far
        self.result_file = path / "result.json"
        self.undelivered_mark = path / "undelivered"  # there while MLflow has not got all of a run that has ended
        self._origin_file = path / "run.json"
        self.progress_file = path / "progress.jsonl"
        self._lock = FolderLock(path)

    def check_unused(self) -> None:
        """Raises BadInput where the path holds a run or anything else."""
        if self.config_file.exists():
            raise BadInput(
                f"--out is {self.path}, which already holds a run: name another, or 'rlx2 resume {self.path}'."
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise BadInput(f"--out is {self.path}, which exists and is not an empty directory: give another one.")

    def create(self, config: ExperimentConfig, tracking: Tracking) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"--out is {self.path}, which cannot be made ({error.strerror}): give another one."
            ) from None
        self.lock()
        text = configuration.to_yaml(config)
        try:
            origin = _begin(config, tracking)._replace(config_sha256=_sha256(text))
            files.write(self._origin_file, sealed.to_text(origin._asdict(), 2))
            files.write(self.config_file, text)  # last: it is what marks the directory as a run
        except OSError as error:
            for path in (self._origin_file, self._lock.file):
                path.unlink(missing_ok=True)  # so that the directory can be given again
            raise BadInput(
                f"--out is {self.path}, which cannot be written to ({error.strerror}): make room, or give another one."
            ) from None

    def open(self) -> tuple[ExperimentConfig, Origin]:
        """Read the configuration, with its changes, and the origin: the one way in which either is ever read.

        Raises BadInput where there is no run, Damaged where a file is not as the run wrote it.
        """
        if not self.config_file.exists():
            if list_checkpoints(self.checkpoints):
                raise Damaged(f"{self.config_file} is missing, and there are checkpoints: restore it from a copy.")
            raise BadInput(f"{self.path} holds no run: give a directory that 'rlx2 train' wrote.")
        origin = self._read_origin()
        if not self._is_as_written(origin):
            raise Damaged(f"{self.config_file} is not as the run wrote it: restore it from a copy.")
        config = configuration.load_stored(self.config_file)
        if not config.keys() >= NEEDED:  # else defaults would stand for it
            raise Damaged(f"{self.config_file} is empty or cut short: restore it from a copy.")
        return configuration.resolve_stored(configuration.merge(config, origin.changes)), origin

    def _is_as_written(self, origin: Origin) -> bool:
        return origin.config_sha256 in (None, _sha256(configuration.read_bytes(self.config_file)))

    def mend(self, config: ExperimentConfig, tracking: Tracking) -> None:
        """Write config.yaml or run.json again where it is missing or damaged and the other says what was in it.

        `config` and `tracking`: of the run, as its sweep knows them. Raises Damaged where they are not what it had.
        """
        try:
            self.open()
        except Damaged as damage:
            text = configuration.to_yaml(config)
            begun = _begin(config, tracking)._replace(config_sha256=_sha256(text))
            try:
                origin = self._read_origin()
            except Damaged:
                origin = begun
                if not self.config_file.exists() or not self._is_as_written(begun):
                    raise damage from None
            if origin.config_sha256 != begun.config_sha256:
                raise
            self._write_origin(origin)
            self._replace(self.config_file, text)

    def change(self, changes: Tree) -> ExperimentConfig:
        """Let the run go on with other values than it began with. Raises BadInput with nothing changed."""
        config, origin = self.open()
        changed = configuration.resolve(configuration.merge(config.model_dump(), changes))
        origin = origin._replace(changes=configuration.merge(origin.changes, changes))
        self._write_origin(origin)
        return changed

    def forget_end(self) -> None:
        """Let a run that has ended be one that goes on: a kill leaves one that ends again where it ended."""
        for file in (self.result_file, self.policy_file):
            file.unlink(missing_ok=True)
        self._note_result(None)

    def adopt(self, config: ExperimentConfig, tracking: Tracking, checkpoint: Path, points: Path) -> None:
        """Go on, with this configuration, from where another run was: with its checkpoint and its points.

        Its best policy lies beside its points. The run stays the one it is in MLflow. Nobody may be working on it.
        Raises BadInput where there is a link in either directory.
        """
        for folder in filter(Path.is_dir, (self.path, points.parent)):
            check_no_link(folder)
        if not self.config_file.exists():
            self.create(config, tracking)
        origin = self._read_origin()._replace(config_sha256=None, changes={}, result_sha256=None)
        text = configuration.to_yaml(config)
        self._write_origin(origin)  # until both are there, for readers and kills
        self._replace(self.config_file, text)
        self._write_origin(origin._replace(config_sha256=_sha256(text)))
        for file in (self.result_file, self.policy_file, self.best_policy_file):  # of what is given up
            file.unlink(missing_ok=True)
        best = points.with_name(self.best_policy_file.name)
        if best.exists():
            self._copy(best, self.best_policy_file)
        copy_checkpoint(checkpoint, self.checkpoints)
        self._copy(points, self.progress_file)
        self.close()

    def _copy(self, source: Path, target: Path) -> None:
        with self.writing(target):
            files.copy(source, target)

    def copy_to(self, target: Path) -> None:
        """Copy what the run needs to go on from its newest checkpoint to another directory, where no run is left.

        Raises RunFailed where there is no room, BadInput where there is a link in the other directory.
        """
        other = RunDirectory(target)
        with self.writing(target):
            target.mkdir(parents=True, exist_ok=True)
            check_no_link(target)
            other.config_file.unlink(missing_ok=True)
            shutil.rmtree(other.checkpoints, ignore_errors=True)
            for newest in list_checkpoints(self.checkpoints)[-1:]:
                copy_checkpoint(newest, other.checkpoints)
            for source, copy in zip(self._files(), other._files(), strict=True):
                copy.unlink(missing_ok=True)
                if source.exists():
                    self._copy(source, copy)

    def _files(self) -> list[Path]:
        """All but checkpoints, the mark of a run last."""
        policies = [self.policy_file, self.best_policy_file]
        return [self.progress_file, *policies, self.result_file, self._origin_file, self.config_file]

    def _read_origin(self) -> Origin:
        try:
            origin = parts.read_origin(self._origin_file)
        except (OSError, ValueError):
            raise Damaged(f"{self._origin_file} is missing or damaged: restore it from a copy.") from None
        return origin._replace(tracking_uri=redacted(origin.tracking_uri))  # an earlier version wrote all of it

    def lock(self, wait_s: float = 0.0) -> None:
        """Take the lock.

        Raises BadInput while another process works on the run. It goes with `close`, or with the process.
        """
        self._lock.acquire(wait_s)
        finish_copy(self.checkpoints)

    def close(self) -> None:
        self._lock.release()

    @contextmanager
    def writing(self, file: Path) -> Iterator[None]:
        """Guard a writing: raises RunFailed, which says how the run goes on, where `file` cannot be written."""
        try:
            yield
        except OSError as error:
            raise RunFailed(
                f"{file} cannot be written ({reason(error)}): make room, then 'rlx2 resume {self.path}' goes on."
            ) from None

    def mark_undelivered(self, waiting: Waiting | None = None) -> None:
        """Note that MLflow has not got all of the run; None: nor is it known what. Raises RunFailed for no room."""
        self._replace(self.undelivered_mark, f"{waiting.status} {waiting.points}\n" if waiting else "")

    def waiting(self) -> Waiting | None:
        """What MLflow has not got; None where it has all. Raises BadInput where the points cannot be read."""
        if not self.undelivered_mark.exists():
            return None
        for status in get_args(Status):
            told = re.fullmatch(rf"{status} (\d{{1,15}})\s*", self._mark())
            if told:
                return Waiting(status, int(told[1]))
        # By an earlier version, or killed before it could say
        return Waiting("FINISHED" if self.result_file.exists() else "KILLED", len(self.read_points()))

    def _mark(self) -> str:
        try:
            return files.read(self.undelivered_mark, parts.MOST_MARK).decode(errors="replace")
        except OSError:
            return ""

    def retrack(self, uri: str, parent_run_id: str | None) -> None:
        """Let the run be tracked in a store that has nothing of it yet, as a trial of that run of MLflow if of any."""
        self._write_origin(self._read_origin()._replace(tracking_uri=uri, parent_run_id=parent_run_id))
        if self.result_file.exists() or self.progress_file.exists():
            self.mark_undelivered()

    def append(self, point: Point) -> None:
        """Add a point. Raises RunFailed where there is no room."""
        with self.writing(self.progress_file):
            files.append(self.progress_file, json.dumps(point) + "\n")  # a checkpoint counts on the points before it

    def rewind(self, env_steps: int) -> list[Point]:
        """Forget the points after `env_steps`, which will be measured again, and return the others.

        Raises Damaged where a line is damaged, RunFailed where there is no room.
        """
        points = [point for point in self.read_points() if point["env_steps"] <= env_steps]
        self.write_points(points)
        return points

    def write_points(self, points: Iterable[Point]) -> None:
        """Let these be all points. Raises RunFailed where there is no room."""
        self._replace(self.progress_file, "".join(json.dumps(point) + "\n" for point in points))

    def read_points(self) -> list[Point]:
        """Read all points measured so far. Raises Damaged where a line is damaged."""
        lines = self._read_lines() if self.progress_file.exists() else []
        points = []
        for number, line in enumerate(lines, start=1):
            try:
                points.append(parts.parse_point(line))
            except ValueError:
                if number == len(lines):
                    break  # the process was killed, or the disk was full, while it wrote this line
                raise Damaged(
                    f"{self.progress_file} is damaged in line {number}: 'rlx2 resume {self.path}' takes it from the "
                    "newest checkpoint, or restore it from a copy."
                ) from None
        return points

    def _read_lines(self) -> list[bytes]:
        try:
            return files.read(self.progress_file, parts.MOST_POINTS).splitlines()
        except OSError as error:
            raise Damaged(f"{self.progress_file} cannot be read ({reason(error)}): restore it from a copy.") from None

    def write_result(self, result: dict[str, Any]) -> None:
        """Write the result, which makes the run a finished one. Raises RunFailed where there is no room."""
        if self.result_file.exists():
            self._note_result(None)  # a kill leaves one that nobody vouches for, or one that is as it was written
        self._replace(self.result_file, json.dumps(result, indent=2) + "\n")
        self._note_result(sealed.digest(result))

    def _note_result(self, digest: str | None) -> None:
        if self._origin_file.exists():
            origin = self._read_origin()
            if origin.result_sha256 != digest:
                self._write_origin(origin._replace(result_sha256=digest))

    def _write_origin(self, origin: Origin) -> None:
        self._replace(self._origin_file, sealed.to_text(origin._asdict(), 2))

    def _replace(self, file: Path, text: str) -> None:
        with self.writing(file):
            files.write(file, text)

    def read_result(self) -> dict[str, Any] | None:
        """Read the result; None where the run is not finished. Raises Damaged where it is damaged."""
        if not self.result_file.exists():
            return None
        try:
            result = parts.read_result(self.result_file)
            if self._digest_of_result() not in (None, sealed.digest(result)):
                raise ValueError("not as it was written")
            return result
        except (ValueError, OSError):
            raise Damaged(f"{self.result_file} is damaged: remove it, and 'rlx2 resume' writes it again.") from None

    def _digest_of_result(self) -> str | None:
        try:
            return self._read_origin().result_sha256
        except Damaged:
            return None

    def read_whole(self) -> tuple[dict[str, Any] | None, list[Point]]:
        """Read the result, None where the run is not finished, and the points, of which it was made.

        Raises Damaged where either is damaged, or the points are no longer those of the result.
        """
        result, points = self.read_result(), self.read_points()
        told = None if result is None else result.get("evaluations")
        if told is not None and json.dumps(told) != json.dumps(describe_evaluations(points)):
            raise Damaged(
                f"{self.path} has other evaluations in result.json than in progress.jsonl: restore the latter from a "
                "copy."
            )
        return result, points


def is_run(path: Path) -> bool:
    """Whether a folder holds a run, or what is left of one."""
    directory = RunDirectory(path)
    return directory.config_file.exists() or bool(list_checkpoints(directory.checkpoints))


def describe_evaluations(points: Iterable[Point]) -> list[dict[str, float]]:
    """What a result repeats of every point."""
    return [{key: point[key] for key in OF_EVALUATION if key in point} for point in points]


def _begin(config: ExperimentConfig, tracking: Tracking) -> Origin:
    key = tracking.trial_key or f"{config.hash}-{uuid.uuid4().hex[:8]}"
    return Origin(
        key, tracking.uri, tracking.experiment, parent_run_id=tracking.parent_run_id, tags=dict(tracking.tags)
    )


def reason(error: Exception) -> str:
    """Say in a few words why something could not be written."""
    error = original(error)
    return getattr(error, "strerror", None) or str(error)


def _sha256(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def runs_below(folder: Path) -> list[Path]:
    """The directories of runs at a folder and below. Raises BadInput where there is none."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is no directory: give those of runs, sweeps or compressions.")
    runs = sorted({file.parent for name in ("run.json", "checkpoints") for file in folder.rglob(name)})
    if not runs:
        raise BadInput(f"{folder} holds no run: give a directory that 'rlx2 train', 'sweep' or 'compress' wrote.")
    return runs
