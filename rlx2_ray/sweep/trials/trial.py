"""A trial of a sweep: a run as `rlx2 train` makes it, for Tune one evaluation at a time.

Its state is its run directory, so a trial that dies, and one whose sweep was killed, goes on from its own newest
checkpoint, and one that has ended only says again what it came to. Only PBT, which gives one trial's state to another,
has Tune carry checkpoints.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from rlx2_ray import plugins
from rlx2_ray.envs import modules
from rlx2_ray.runs.checkpoint import list_checkpoints
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.parts import Point
from rlx2_ray.sweep.trials.in_population import training_in
from rlx2_ray.sweep.trials.job import Job, Plan
from rlx2_ray.sweep.trials.reports import final_report, report_of
from rlx2_ray.tracking import consent
from rlx2_ray.tracking.uri import hide_secret

if TYPE_CHECKING:  # where a population has the run, its trial needs little
    from rlx2_ray.experiment.run import Training


class SweepTrial(tune.Trainable):  # type: ignore[misc]
    def setup(self, config: dict[str, Any], job: Job) -> None:
        self._job = job
        consent.agree(hide_secret(job.store))  # as the person did who began the sweep
        modules.trust(job.modules)
        plugins.trust(job.plugins)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on another trial in this process."""
        self._training.close()
        self._begin(new_config)
        return True

    def _begin(self, sampled: dict[str, Any]) -> None:
        self._plan: Plan = self._job.planner.plan(sampled, self.trial_id)
        self._training: Training = self._open()

    @property
    def _directory(self) -> Path:
        return self._job.directory(self._plan)

    @property
    def _has_stopped(self) -> bool:
        """Whether the scheduler ended it in an earlier process: it only says again where it was."""
        return self._plan.name in self._job.stopped

    def _open(self) -> Training:
        self._points: list[Point] = []  # until now
        if self._has_stopped:
            return _nothing()
        if self._job.populations:
            return training_in(self._job.populations, self._plan)
        from rlx2_ray.distributed.launch import train
        from rlx2_ray.sweep.trials.opening import open_run

        return open_run(self._job, self._plan, train)

    def step(self) -> dict[str, Any]:
        """Work until the next evaluation; with the last one, to the end, since a scheduler may stop a trial there."""
        if self._has_stopped:
            self._points = RunDirectory(self._directory).read_points()
            return {**self._newest(), "done": True}
        try:
            while self._take(next(self._training))["env_steps"] >= self._plan.config.steps:
                pass
        except StopIteration as end:
            self._points = self._points or RunDirectory(self._directory).read_points()
            return {**final_report(self._points, self._plan.config.evaluation, end.value), "done": True}
        return self._newest()

    def _take(self, point: Point) -> Point:
        """Those on file come in with the first: by then no earlier process writes to it any more."""
        if not self._points:
            on_file = RunDirectory(self._directory).read_points()
            self._points = [each for each in on_file if each["env_steps"] < point["env_steps"]]
        self._points.append(point)
        return point

    def _newest(self) -> dict[str, Any]:
        return report_of(self._points, self._plan.config.evaluation)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Give PBT a checkpoint, which is there at every moment at which it may ask for one."""
        run = RunDirectory(self._directory)
        newest = list_checkpoints(run.checkpoints)[-1]
        shutil.copytree(newest, Path(checkpoint_dir) / newest.name)
        for file in filter(Path.exists, (run.progress_file, run.best_policy_file)):
            shutil.copyfile(file, Path(checkpoint_dir) / file.name)

    def load_checkpoint(self, checkpoint: str | None) -> None:
        """Go on from where another trial was, or this one."""
        assert checkpoint is not None
        self._training.close()
        run, folder = RunDirectory(self._directory), Path(checkpoint)
        tracking = self._job.tracking_of(self._plan)
        run.adopt(self._plan.config, tracking, list_checkpoints(folder)[-1], folder / run.progress_file.name)
        self._training = self._open()

    def cleanup(self) -> None:
        self._training.close()


def _nothing() -> Training:
    yield from ()
    return {}
