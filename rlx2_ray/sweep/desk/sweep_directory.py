"""The directory of a sweep or a compression: what was asked for, the record of it, and its trials."""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray import config as configuration
from rlx2_ray import files
from rlx2_ray.config import Tree, yaml_text
from rlx2_ray.report.record.file import RECORD_FILE, read_record, to_json
from rlx2_ray.report.record.rebuild import rebuild
from rlx2_ray.report.record.record import Record, TrackedRun
from rlx2_ray.runs import sealed
from rlx2_ray.runs.directory import RunDirectory, Tracking, reason
from rlx2_ray.runs.lock import FolderLock
from rlx2_ray.runs.result import installed_versions
from rlx2_ray.sweep.desk.result_file import KINDS, read_result
from rlx2_ray.types import BadInput, Damaged, RunFailed

Result = dict[str, Any]  # the keys of result.json
LEFTOVERS = {"trials", "run.lock", RECORD_FILE}  # of a creation that was killed


class Tracked(NamedTuple):
    """Where a campaign is tracked in MLflow, and as what."""

    uri: str
    experiment: str
    key: str


class SweepDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.description_file = self.path / "sweep.yaml"
        self.record_file = self.path / RECORD_FILE
        self.result_file = self.path / "result.json"
        self.report_file = self.path / "report.html"
        self.figures = self.path / "figures"
        self.floor_file = self.path / "floor.json"
        self.trials = self.path / "trials"
        self.undelivered_mark = self.path / "undelivered"  # there while MLflow has not got all of a finished sweep
        self.mended: list[str] = []  # sentences on files that were damaged
        self._lock = FolderLock(self.path)

    @property
    def is_there(self) -> bool:
        return self.description_file.exists() or (self.record_file.exists() and any(self.trials.glob("*")))

    def check_unused(self) -> None:
        """Raises BadInput where the path holds a sweep or anything else."""
        if self.is_there:
            raise BadInput(
                f"--out is {self.path}, which already holds a sweep: name another, or 'rlx2 resume {self.path}'."
            )
        if self.path.exists() and not self._is_free():
            raise BadInput(f"--out is {self.path}, which exists and is not an empty directory: give another one.")

    def _is_free(self) -> bool:
        """An empty directory, or one that a process was killed in before it had become a sweep."""
        if not self.path.is_dir():
            return False
        names = {each.name for each in self.path.iterdir() if not each.name.endswith(files.UNFINISHED)}
        return names <= LEFTOVERS and not any(self.trials.glob("*"))

    def create(self, kind: str, tree: Tree, tracking: Tracking) -> Record:
        """Returns the record of a sweep that has done nothing yet. Raises BadInput where there is no room."""
        record = Record(
            kind,
            self.path.name,
            state="running",
            started=time.time(),
            versions=installed_versions(),
            tracking=TrackedRun(tracking.uri, tracking.experiment),
            key=f"{kind}-{uuid.uuid4().hex[:12]}",
            config=tree,
            description_sha256=_sha256(_to_text(tree)),
        )
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            self.lock()
            self.check_unused()  # again: now nobody else can be about to create one
            files.write(self.record_file, to_json(record))
            files.write(self.description_file, _to_text(tree))  # marks the directory as a sweep
        except OSError as error:
            raise BadInput(
                f"--out is {self.path}, which cannot be written to ({reason(error)}): make room, or give another one."
            ) from None
        return record

    def open(self) -> tuple[Tree, Record]:
        """Returns the description and the record, either made good from the other, or from the trials.

        Raises BadInput where there is none, or neither says it.
        """
        if not self.is_there:
            raise BadInput(f"{self.path} holds no sweep: give a directory that 'rlx2 sweep' or 'compress' wrote.")
        record = self._read_record()
        tree = self._read_description(record)
        return (_with_earlier_window(tree) if self._began_before_windows() else tree), record

    def _read_record(self) -> Record:
        try:
            record = read_record(self.record_file)
            tracked_at(record)
            if record.kind in KINDS:
                return record
        except BadInput:
            pass
        record = rebuild(self.path)
        tracked_at(record)
        self.mended += record.messages
        return record

    def _read_description(self, record: Record) -> Tree:
        known = record.description_sha256
        if known is None or self._digest_of_description() == known:
            return configuration.load_stored(self.description_file)
        self.mended.append(
            f"{self.description_file} was not as the {record.kind} wrote it, and is written again from {RECORD_FILE}."
        )
        return dict(record.config)

    def _digest_of_description(self) -> str | None:
        """None: it cannot be read."""
        try:
            return _sha256(configuration.read_bytes(self.description_file))
        except BadInput:
            return None

    def _began_before_windows(self) -> bool:
        """Whether it has trials of an earlier version, with whose scores those of new trials are to be compared."""
        return any(_has_no_window(RunDirectory(trial)) for trial in self.trials.glob("*"))

    def write_description(self, record: Record, tree: Tree) -> Record:
        """Let it go on as `tree` says; returns the record that says so too. Raises RunFailed where there is no room."""
        text = _to_text(tree)
        if record.description_sha256 != _sha256(text) or record.config != tree:
            record = replace(record, config=tree, description_sha256=_sha256(text))
            self.write_record(record)  # before the file: what is not as the record says is written again
        if self._digest_of_description() != _sha256(text):
            self._write_text(self.description_file, text)
        return record

    def read_result(self, kind: str) -> Result | None:
        """Returns that of a finished one of that kind; None where it is not finished, or what says so is damaged."""
        if not self.result_file.exists():
            return None
        try:
            return read_result(self.result_file, kind)
        except (ValueError, OSError):
            self.mended.append(f"{self.result_file} is damaged, and is written again.")
            return None

    def forget_result(self) -> None:
        """Let it be one that has not finished."""
        self.result_file.unlink(missing_ok=True)

    def mark_undelivered(self) -> None:
        self._write_text(self.undelivered_mark, "")

    def lock(self) -> None:
        self._lock.acquire()

    def close(self) -> None:
        self._lock.release()

    def write_record(self, record: Record) -> None:
        self._write_text(self.record_file, to_json(record))

    def write_result(self, result: Result) -> None:
        self._write_text(self.result_file, sealed.to_text(result, 1))

    def _write_text(self, file: Path, text: str) -> None:
        """Raises RunFailed where there is no room."""
        try:
            files.write(file, text)
        except OSError as error:
            raise RunFailed(
                f"{file} cannot be written ({reason(error)}): make room, then 'rlx2 resume {self.path}' goes on."
            ) from None


def tracked_at(record: Record) -> Tracked:
    """Returns where a record says that it is tracked. Raises BadInput where it does not say."""
    if record.tracking is None or record.key is None:
        raise Damaged("The record has no tracking or no key: restore it from a copy.")
    return Tracked(record.tracking.uri, record.tracking.experiment, record.key)


def _has_no_window(run: RunDirectory) -> bool:
    """Whether it is of an earlier version; a file that is damaged says nothing."""
    try:
        run.open()
        return b"score_window" not in configuration.read_bytes(run.config_file)
    except BadInput:
        return False


def _to_text(tree: Tree) -> str:
    return yaml_text.write(tree)


def _sha256(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _with_earlier_window(tree: Tree) -> Tree:
    """The description with the score window that was that of every run."""
    if isinstance(members := tree.get("queue"), list):
        return {**tree, "queue": [_with_earlier_window(each) if isinstance(each, dict) else each for each in members]}
    return configuration.merge({"evaluation": {"score_window": configuration.LARGEST_WINDOW}}, tree)
