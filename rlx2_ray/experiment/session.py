"""From a configuration, or a directory, to a finished run: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from rlx2_ray.agents.engines import check_engine, prepare_engine
from rlx2_ray.config import ExperimentConfig, Tree, leaves
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.display import make_display
from rlx2_ray.experiment.interruption import stop_on_signals
from rlx2_ray.experiment.result import installed_versions
from rlx2_ray.experiment.run import Run, deliver_again
from rlx2_ray.experiment.run_directory import Origin, RunDirectory
from rlx2_ray.experiment.tracking import Tracker
from rlx2_ray.experiment.tracking_uri import resolve_tracking_uri
from rlx2_ray.replay.windows import compile_kernels
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import BadInput, Interrupted, Spaces

Result = dict[str, Any]
Train = Callable[[Run, bool], Result]  # (run, whether to go on from its newest checkpoint)


def start(config: ExperimentConfig, out: Path, tracking_uri: str, experiment: str, train: Train) -> Result:
    """A new run in `out`. Raises BadInput with nothing written."""
    with closing(RunDirectory(out)) as directory:
        directory.check_unused()
        tracking_uri = resolve_tracking_uri(tracking_uri)
        spaces = _check(config)
        _prepare(config)
        directory.create(config, tracking_uri, experiment)
        return _work(config, spaces, directory, resume=False, train=train)


def resume(path: Path, train: Train, changes: Tree | None = None) -> Result:
    """Go on with the run in `path`, from now on with `changes`; of a finished one only the result is read.

    Raises BadInput for changes of anything but where and on how many actors it runs.
    """
    with closing(RunDirectory(path)) as directory:
        config, origin = directory.open()
        directory.lock()
        finished = directory.read_result()
        if finished is not None:
            return _deliver_again(config, directory, origin, finished)
        if changes:
            _check_changes(config, changes)
            config = directory.change(changes)
        spaces = _check(config)
        _prepare(config)
        return _work(config, spaces, directory, resume=True, train=train)


def _check_changes(config: ExperimentConfig, changes: Tree) -> None:
    fixed = [key for key in leaves(changes) if not key.startswith("runtime.") or key == "runtime.kind"]
    if fixed:
        raise BadInput(f"{fixed[0]} is fixed for a run that has begun: train a new one, or leave it out.")
    if config.runtime.kind == "inline":
        key = leaves(changes)[0]
        raise BadInput(f"{key} belongs to runs on actors, and this one is inline: leave it out.")


def _deliver_again(config: ExperimentConfig, directory: RunDirectory, origin: Origin, finished: Result) -> Result:
    """The result, after another try to tell MLflow where the first did not succeed."""
    if not directory.undelivered_mark.exists():
        return finished
    display = make_display(config.steps)
    try:
        return deliver_again(directory, _make_tracker(config, directory, origin, display.say), finished)
    finally:
        display.close()


def _check(config: ExperimentConfig) -> Spaces:
    """Raises BadInput where the environment, the sparsities or the device cannot be used."""
    spaces = probe_spaces(config.env)
    plan_agent(config, spaces.observation_size, spaces.action_size)
    check_engine(config)
    return spaces


def _prepare(config: ExperimentConfig) -> None:
    """What takes its time on a new machine, before the run's clock starts."""
    prepare_engine(config)
    compile_kernels()


def _work(config: ExperimentConfig, spaces: Spaces, directory: RunDirectory, resume: bool, train: Train) -> Result:
    _, origin = directory.open()
    display = make_display(config.steps)
    with stop_on_signals() as stop:
        tracker = _make_tracker(config, directory, origin, display.say)
        try:
            tracker.start()
            return train(Run(config, spaces, directory, tracker, display, stop), resume)
        except (Interrupted, KeyboardInterrupt):
            tracker.finish("KILLED")
            raise
        except BaseException:
            tracker.finish("FAILED")
            raise
        finally:
            display.close()


def _make_tracker(
    config: ExperimentConfig, directory: RunDirectory, origin: Origin, warn: Callable[[str], None]
) -> Tracker:
    tags = {f"version.{package}": version for package, version in installed_versions().items()}
    return Tracker(
        origin.tracking_uri,
        origin.experiment,
        origin.trial_key,
        run_name=directory.path.name,
        tags={"rlx2.config_hash": config.hash, **tags},
        params=config.model_dump(mode="json"),
        warn=warn,
    )
