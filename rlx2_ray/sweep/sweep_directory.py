"""The directory of a sweep or a compression: what was asked for, the record of it, and its trials."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rlx2_ray import config as configuration
from rlx2_ray.config import Tree
from rlx2_ray.runs.directory import Tracking, reason
from rlx2_ray.runs.lock import FolderLock
from rlx2_ray.runs.result import installed_versions
from rlx2_ray.types import BadInput, RunFailed

Content = dict[str, Any]
LEFTOVERS = {"trials", "run.lock", "record.json", "record.tmp", "sweep.tmp"}  # of a creation that was killed


class SweepDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.description_file = self.path / "sweep.yaml"
        self.record_file = self.path / "record.json"
        self.result_file = self.path / "result.json"
        self.report_file = self.path / "report.html"
        self.figures = self.path / "figures"
        self.floor_file = self.path / "floor.json"
        self.trials = self.path / "trials"
        self.tune = self.path / "tune"
        self._lock = FolderLock(self.path)

    @property
    def is_there(self) -> bool:
        return self.description_file.exists()

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
        return {each.name for each in self.path.iterdir()} <= LEFTOVERS and not any(self.trials.glob("*"))

    def create(self, kind: str, tree: Tree, tracking: Tracking) -> Content:
        """Returns the record of a sweep that has done nothing yet. Raises BadInput where there is no room."""
        record = {
            "kind": kind,
            "name": self.path.name,
            "state": "running",
            "started": time.time(),
            "versions": installed_versions(),
            "tracking": {"uri": tracking.uri, "experiment": tracking.experiment, "run_id": None},
            "key": f"{kind}-{uuid.uuid4().hex[:12]}",
            "messages": [],
        }
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            self.lock()
            self.check_unused()  # again: now nobody else can be about to create one
            _replace(self.record_file, _to_json(record))
            _replace(self.description_file, yaml.safe_dump(tree, sort_keys=False))  # marks the directory as a sweep
        except OSError as error:
            raise BadInput(
                f"--out is {self.path}, which cannot be written to ({reason(error)}): make room, or give another one."
            ) from None
        return record

    def open(self) -> tuple[Tree, Content]:
        """The description and the record. Raises BadInput where there is none, or it is damaged."""
        if not self.is_there:
            raise BadInput(f"{self.path} holds no sweep: give a directory that 'rlx2 sweep' or 'compress' wrote.")
        try:
            record = json.loads(self.record_file.read_bytes())
            record["kind"], record["key"], record["tracking"]["uri"]
        except (OSError, ValueError, TypeError, KeyError):
            raise BadInput(f"{self.record_file} is missing or damaged: restore it from a copy.") from None
        return configuration.load(self.description_file), record

    def renew(self, tree: Tree) -> None:
        """Let it go on as `tree` says, whatever Tune or the result of its end says. Raises RunFailed for no room."""
        self._write_text(self.description_file, yaml.safe_dump(tree, sort_keys=False))
        shutil.rmtree(self.tune, ignore_errors=True)
        self.result_file.unlink(missing_ok=True)  # last: until then it is what it was

    def read_result(self) -> Content | None:
        """Of a finished sweep. Raises BadInput where it is damaged."""
        if not self.result_file.exists():
            return None
        try:
            result = json.loads(self.result_file.read_bytes())
            result["kind"]
            return dict(result)
        except (ValueError, TypeError, KeyError):
            raise BadInput(f"{self.result_file} is damaged: remove it, and 'rlx2 resume' writes it again.") from None

    def lock(self) -> None:
        self._lock.acquire()

    def close(self) -> None:
        self._lock.release()

    def write_record(self, record: Mapping[str, Any]) -> None:
        self._write(self.record_file, record)

    def write_result(self, result: Mapping[str, Any]) -> None:
        self._write(self.result_file, result)

    def _write(self, file: Path, content: Mapping[str, Any]) -> None:
        self._write_text(file, _to_json(content))

    def _write_text(self, file: Path, text: str) -> None:
        """Raises RunFailed where there is no room."""
        try:
            _replace(file, text)
        except OSError as error:
            raise RunFailed(
                f"{file} cannot be written ({reason(error)}): make room, then 'rlx2 resume {self.path}' goes on."
            ) from None


def _to_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _replace(file: Path, text: str) -> None:
    """Write it whole or not at all. Raises OSError."""
    aside = file.with_suffix(".tmp")
    aside.write_text(text)
    aside.replace(file)
