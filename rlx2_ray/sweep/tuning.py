"""Ray Tune as it is used here: trials as described, quiet, and never restored from what it has written.

A sweep that goes on is told to Tune anew, from its record and the directories of its trials: a trial that has ended
only says again what it came to. So nothing is unpickled that lay on a disk, and no file of Tune's can end a sweep.
"""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.cluster import actor_cpus
from rlx2_ray.sweep.trials.job import Job

if TYPE_CHECKING:
    from ray import tune

    from rlx2_ray.sweep.reporter import Reporter

KEPT = 5  # checkpoints of a trial in Tune's hands, which only PBT has; one may be gone before it is used with 2
HANDLE_CPUS = 0.01  # of a trial whose run has a slot of a population, where all the work is done
NAME = "tune"  # of Tune's folder below that of the sweep

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # trials keep their own files
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # nobody reads its state
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
        shutil.rmtree(folder / NAME, ignore_errors=True)
        tuner = tune.Tuner(
            trainable,
            param_space=tuning.param_space,
            tune_config=tuning.config,
            run_config=_run_config(tuning, folder, reporter),
        )
        tuner.fit()


def _run_config(tuning: Tuning, folder: Path, reporter: Reporter) -> tune.RunConfig:
    from ray import tune

    from rlx2_ray.sweep.free_slots import FreeSlots
    from rlx2_ray.sweep.reporter import BudgetStopper

    return tune.RunConfig(
        name=NAME,
        storage_path=str(folder),
        callbacks=[reporter, *([FreeSlots(tuning.job)] if tuning.job.populations else [])],
        failure_config=tune.FailureConfig(max_failures=tuning.max_failures),
        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, num_to_keep=KEPT),
        stop=BudgetStopper(),
        verbose=0,
    )


def placement(config: ExperimentConfig) -> tune.PlacementGroupFactory:
    """Asks for a CPU for the trial itself; on actors for one more for each of them."""
    from ray import tune

    if config.engine == "population":
        return tune.PlacementGroupFactory([{"CPU": HANDLE_CPUS}])
    return tune.PlacementGroupFactory([{"CPU": 1.0}] * int(trial_cpus(config)))


def trial_cpus(config: ExperimentConfig) -> float:
    if config.engine == "population":
        return HANDLE_CPUS
    return 1 + (actor_cpus(config.runtime) if config.runtime.kind == "actors" else 0)
