"""The directory of one run: what is in it, who may write to it, and what is read back when the run goes on."""

from __future__ import annotations

import fcntl
import json
import uuid
from pathlib import Path
from typing import IO, Any, NamedTuple

from rlx2_ray import config as configuration
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.types import BadInput

Point = dict[str, Any]  # one evaluation: env_steps, learner_steps, return_mean, return_std, and metrics


class Origin(NamedTuple):
    """What a run knows of itself beside its configuration, fixed when it begins."""

    trial_key: str  # tag rlx2.trial_key of its MLflow run
    tracking_uri: str
    experiment: str  # of MLflow


class RunDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.config_file = path / "config.yaml"
        self.policy_file = path / "policy.safetensors"
        self.result_file = path / "result.json"
        self.undelivered_mark = path / "undelivered"  # there while MLflow has not got all of a finished run
        self._origin_file = path / "run.json"
        self._progress_file = path / "progress.jsonl"
        self._lock: IO[str] | None = None

    def check_unused(self) -> None:
        """Raises BadInput where the path holds a run or anything else."""
        if self.config_file.exists():
            raise BadInput(
                f"--out is {self.path}, which already holds a run: name another, or 'rlx2 resume {self.path}'."
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise BadInput(f"--out is {self.path}, which exists and is not an empty directory: give another one.")

    def create(self, config: ExperimentConfig, tracking_uri: str, experiment: str) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"--out is {self.path}, which cannot be made ({error.strerror}): give another one."
            ) from None
        self.lock()
        origin = Origin(f"{config.hash}-{uuid.uuid4().hex[:8]}", tracking_uri, experiment)
        self._origin_file.write_text(json.dumps(origin._asdict(), indent=2) + "\n")
        configuration.save(config, self.config_file)  # last: it is what marks the directory as a run

    def open(self) -> tuple[ExperimentConfig, Origin]:
        """Raises BadInput where there is no run."""
        if not self.config_file.exists():
            raise BadInput(f"{self.path} holds no run: give a directory that 'rlx2 train' wrote.")
        config = configuration.resolve(configuration.load(self.config_file))
        try:
            return config, Origin(**json.loads(self._origin_file.read_text()))
        except (OSError, ValueError, TypeError):
            raise BadInput(f"{self._origin_file} is missing or damaged: restore it from a copy.") from None

    def lock(self) -> None:
        """Raises BadInput while another process works on the run. The lock goes with `close`, or with the process."""
        try:
            self._lock = (self.path / "run.lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"{self.path} is in use by another process: wait for it or stop it.") from None
        except OSError as error:
            raise BadInput(f"{self.path} cannot be written to ({error.strerror}): make it writable.") from None

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def append(self, point: Point) -> None:
        with self._progress_file.open("a") as file:
            file.write(json.dumps(point) + "\n")

    def rewind(self, env_steps: int) -> list[Point]:
        """Forget the points after `env_steps`, which will be measured again, and return the others."""
        lines = self._progress_file.read_text().splitlines() if self._progress_file.exists() else []
        points = []
        for line in lines:
            try:
                point = json.loads(line)
            except ValueError:
                break  # the process was killed while it wrote this line
            if point["env_steps"] <= env_steps:
                points.append(point)
        aside = self._progress_file.with_suffix(".tmp")
        aside.write_text("".join(json.dumps(point) + "\n" for point in points))
        aside.replace(self._progress_file)
        return points

    def write_result(self, result: dict[str, Any]) -> None:
        aside = self.result_file.with_suffix(".tmp")
        aside.write_text(json.dumps(result, indent=2) + "\n")
        aside.replace(self.result_file)

    def read_result(self) -> dict[str, Any] | None:
        """The result of a finished run."""
        return json.loads(self.result_file.read_text()) if self.result_file.exists() else None
