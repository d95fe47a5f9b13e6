"""Ray Tune as it is used here: trials as described, quiet, and restored from its own state where it was killed."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.cluster import actor_cpus
from rlx2_ray.sweep.trials.job import Job
from rlx2_ray.sweep.tune_state import OF_TRIALS, forget_unusable

if TYPE_CHECKING:
    from ray import tune

    from rlx2_ray.sweep.reporter import Reporter

KEPT = 5  # checkpoints of a trial in Tune's hands, which only PBT has; one may be gone before it is used with 2
NAME = "tune"  # of Tune's folder below that of the sweep

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # trials keep their own files
    "TUNE_GLOBAL_CHECKPOINT_S": "2",  # what is younger is done over after a kill, which is cheap but not free
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths in a configuration mean what they mean to `rlx2 train`
}


class Tuning(NamedTuple):
    job: Job
    param_space: dict[str, Any] | None  # None: the searcher's
    config: tune.TuneConfig
    max_failures: int


def prepare_environment() -> None:
    """Set what Tune reads when it is imported, so before that."""
    os.environ.update(ENVIRONMENT)


def run_trials(tuning: Tuning, folder: Path, reporter: Reporter) -> None:
    """Run all trials to their ends, on the Ray that there is, or until the user interrupts."""
    from ray import tune

    from rlx2_ray.sweep.trials.trial import SweepTrial

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the reporter says it in sentences
    planner = tuning.job.planner

    def resources(sampled: Mapping[str, Any]) -> tune.PlacementGroupFactory:
        return placement(planner.plan(sampled, "resources").config)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations
        trainable = tune.with_resources(tune.with_parameters(SweepTrial, job=tuning.job), resources)
        path = folder / NAME
        forget_unusable(path, OF_TRIALS)
        if tune.Tuner.can_restore(str(path)):
            tuner = tune.Tuner.restore(
                str(path), trainable, param_space=tuning.param_space, resume_unfinished=True, restart_errored=True
            )
        else:
            tuner = tune.Tuner(
                trainable,
                param_space=tuning.param_space,
                tune_config=tuning.config,
                run_config=_run_config(tuning, folder, reporter),
            )
        tuner.fit()


def _run_config(tuning: Tuning, folder: Path, reporter: Reporter) -> tune.RunConfig:
    from ray import tune

    from rlx2_ray.sweep.reporter import BudgetStopper

    return tune.RunConfig(
        name=NAME,
        storage_path=str(folder),
        callbacks=[reporter],
        failure_config=tune.FailureConfig(max_failures=tuning.max_failures),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, num_to_keep=KEPT),
        stop=BudgetStopper(),
        verbose=0,
    )


def placement(config: ExperimentConfig) -> tune.PlacementGroupFactory:
    """Asks for a CPU for the trial itself; on actors for one more for each of them."""
    from ray import tune

    return tune.PlacementGroupFactory([{"CPU": 1.0}] * trial_cpus(config))


def trial_cpus(config: ExperimentConfig) -> int:
    return 1 + (actor_cpus(config.runtime) if config.runtime.kind == "actors" else 0)
