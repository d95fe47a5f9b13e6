"""Where a run's metrics go beside MLflow: TensorBoard's files and Weights & Biases, under the same names.

Each works in a thread of its own, so that none holds the run up, and whatever goes wrong is said once and ends the
logger, never the run. A mark in the run's directory says how far a logger has come, so that a run which goes on repeats
no point; it is written after the point, so a kill between the two may repeat one.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from rlx2_ray import files, json_text
from rlx2_ray.tracking.points import Point
from rlx2_ray.types import BadInput

FINISH_S = 20.0  # that a logger may take to end
MOST_MARK = 2**20  # bytes

Warn = Callable[[str], None]


class Subject(NamedTuple):
    """What a logger is told of a run."""

    directory: Path
    key: str  # of the run, unlike that of any other
    experiment: str
    config: Mapping[str, Any]


class Logger(ABC):
    """A logger that has begun; its methods are called by one thread, and may raise whatever they like."""

    @abstractmethod
    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    @abstractmethod
    def finish(self, is_finished: bool) -> None:
        """`is_finished`: the run has ended, and was not interrupted."""


class TensorBoard(Logger):
    def __init__(self, subject: Subject, warn: Warn) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(subject.directory / "tensorboard"))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self, is_finished: bool) -> None:
        self._writer.close()


class WeightsAndBiases(Logger):
    """As WANDB_MODE says; by default online where there is a key, else offline, for `wandb sync`.

    Its files are where it has them put, WANDB_DIR or the working directory, for it makes links among them, and in the
    directory of a run a link may lead out of it.
    """

    def __init__(self, subject: Subject, warn: Warn) -> None:
        import wandb

        is_offline = not os.environ.get("WANDB_MODE") and not wandb.login(prompt=False)
        if is_offline:
            warn("wandb has no key here, so it logs offline, below wandb/ or WANDB_DIR: 'wandb sync' sends it.")
        self._run = wandb.init(
            project=subject.experiment,
            id="".join(each if each.isalnum() or each in "-_" else "-" for each in subject.key)[-64:],
            name=subject.directory.name,
            config=dict(subject.config),
            resume="allow",
            reinit="create_new",  # trials of a sweep follow each other in one process
            mode="offline" if is_offline else None,
            settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def finish(self, is_finished: bool) -> None:
        self._run.finish(exit_code=0 if is_finished else 1)


class Kind(NamedTuple):
    package: str
    make: Callable[[Subject, Warn], Logger]


KINDS = {"tensorboard": Kind("tensorboardX", TensorBoard), "wandb": Kind("wandb", WeightsAndBiases)}


def check_loggers(names: Sequence[str]) -> None:
    """Raises BadInput where the package of one is not installed."""
    for name in names:
        package = KINDS[name].package
        if importlib.util.find_spec(package) is None:
            raise BadInput(
                f"tracking.loggers has {name}, which is not installed: 'pip install {package}', or leave it out."
            )


class Mark:
    """How far a logger has come: the latest step, and the names that it has had there."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._step, self._names = self._read()

    def _read(self) -> tuple[int, set[str]]:
        try:
            content = json_text.parse_object(files.read(self._file, MOST_MARK, follow=False))
            return int(content["step"]), set(map(str, content["names"]))
        except (OSError, ValueError, KeyError, TypeError):
            return -1, set()

    def new(self, step: int, values: Mapping[str, float]) -> dict[str, float]:
        """Those of the values that the logger has not had."""
        if step < self._step:
            return {}
        had = self._names if step == self._step else set()
        return {name: value for name, value in values.items() if name not in had and math.isfinite(value)}

    def set(self, step: int, names: Sequence[str]) -> None:
        self._names = {*names, *(self._names if step == self._step else ())}
        self._step = step
        files.write(self._file, json.dumps({"step": step, "names": sorted(self._names)}) + "\n")


class Background:
    """One logger in its thread."""

    def __init__(self, name: str, subject: Subject, warn: Warn) -> None:
        self._name, self._subject, self._warn = name, subject, warn
        self._inbox: SimpleQueue[Sequence[Point] | bool] = SimpleQueue()  # points, or how it ended
        self._thread = threading.Thread(target=self._work, name=f"logger {name}", daemon=True)
        self._thread.start()

    def log(self, points: Sequence[Point]) -> None:
        self._inbox.put(points)

    def finish(self, is_finished: bool) -> None:
        self._inbox.put(is_finished)
        self._thread.join(FINISH_S)
        if self._thread.is_alive():
            self._warn(f"{self._name} has not ended in {FINISH_S:.0f} s, and is left: it may lack the last points.")

    def _work(self) -> None:
        try:
            logger = KINDS[self._name].make(self._subject, self._warn)
            mark = Mark(self._subject.directory / f"logged_{self._name}.json")
            while not isinstance(points := self._inbox.get(), bool):
                for point in points:
                    self._log(logger, mark, point)
            logger.finish(points)
        except Exception as error:  # a package of somebody else's: nothing of it may stop the training
            said = " ".join(str(error).split())[:200]
            self._warn(f"{self._name} cannot be used ({type(error).__name__}: {said}): the run goes on without it.")

    @staticmethod
    def _log(logger: Logger, mark: Mark, point: Point) -> None:
        step = int(point["env_steps"])
        values = mark.new(step, {name: float(value) for name, value in point.items() if name != "env_steps"})
        if values:
            logger.log(step, values)
            mark.set(step, list(values))
