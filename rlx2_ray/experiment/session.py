"""From a configuration, or a directory, to a finished run: everything is checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rlx2_ray import plugins
from rlx2_ray.agents.engines import check_engine, prepare_engine
from rlx2_ray.agents.rules import check_rules
from rlx2_ray.config import ExperimentConfig, Tree, default_score_window, flatten, merge, resolve
from rlx2_ray.envs import modules
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.deployed import play_deployed
from rlx2_ray.experiment.display import Display, make_display
from rlx2_ray.experiment.heading import heading
from rlx2_ray.experiment.interruption import StopWish, stop_on_signals
from rlx2_ray.experiment.predecessors import inherited_models
from rlx2_ray.experiment.run import (
    Futility,
    Run,
    Training,
    deliver_again,
    describe_resuming,
    end_tracking,
    log_points,
    never,
    newest_checkpoint,
)
from rlx2_ray.replay.windows import compile_kernels
from rlx2_ray.runs.directory import RunDirectory, Tracking, is_run
from rlx2_ray.runs.parts import Origin
from rlx2_ray.runs.result import installed_versions
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.tracking import consent, tags
from rlx2_ray.tracking.logged_tracker import LoggedTracker
from rlx2_ray.tracking.loggers import Background, Subject, check_loggers
from rlx2_ray.tracking.tracker import Status, Tracker
from rlx2_ray.tracking.uri import hide_secret
from rlx2_ray.types import BadInput, Interrupted, RunFailed, Spaces

Result = dict[str, Any]
Train = Callable[[Run, bool], Training]  # (run, whether to go on from its newest checkpoint)


class Host(NamedTuple):
    """Who a run works for: how it shows itself, how it is told to stop, when it is not worth going on with."""

    make_display: Callable[[int], Display] = make_display  # of so many env steps
    stop: Callable[[], AbstractContextManager[StopWish]] = stop_on_signals
    is_futile: Futility = never
    lock_wait_s: float = 0.0  # for a process that still works on the run, and is about to end
    is_one_of_many: bool = False  # and so has no heading of its own


PERSON = Host()


def start(config: ExperimentConfig, out: Path, tracking: Tracking, train: Train) -> Result:
    """Train a new run, which a person has described, in `out`, to its end. Raises BadInput with nothing written."""
    plugins.allow(each.path for each in config.plugins)
    plugins.load(config.plugins)
    modules.allow_typed([config.env])
    return _to_the_end(begin(config, out, tracking, train, PERSON), out)


def resume(path: Path, train: Train, changes: Tree | None = None, tracking_uri: str | None = None) -> Result:
    """Go on with the run in `path`, to its end, from now on with `changes`; of a finished one only the result is read.

    `tracking_uri`: from now on tracked there. Raises BadInput for changes of anything but where and on how many actors
    it runs, and where the store that its directory names is not known to be the person's own.
    """
    return _to_the_end(go_on(path, train, PERSON, changes, tracking_uri), path)


def begin(config: ExperimentConfig, out: Path, tracking: Tracking, train: Train, host: Host) -> Training:
    """Do as `start`, from one point to the next. Closing it leaves a run that resumes."""
    with closing(RunDirectory(out)) as directory:
        directory.check_unused()
        tracking = tracking._replace(uri=hide_secret(tracking.uri))
        check_loggers(config.tracking.loggers)
        spaces = check(config)
        prepare(config)
        directory.create(config, tracking)
        consent.remember(tracking.uri)
        return (yield from _work(config, spaces, directory, host, resume=False, train=train))


def go_on(
    path: Path, train: Train, host: Host, changes: Tree | None = None, tracking_uri: str | None = None
) -> Training:
    """Do as `resume`, from one point to the next."""
    with closing(RunDirectory(path)) as directory:
        config, origin = directory.open()
        directory.lock(host.lock_wait_s)
        finished = directory.read_result()
        more, changes = _more_steps(config, origin, directory, finished, changes or {})
        if changes:
            _check_changes(config, changes, path, finished is not None and not more)
        if tracking_uri is not None:
            origin = _track_at(tracking_uri, directory, origin)
        if finished is not None and not more:
            return _deliver_again(config, directory, origin, _with_deployed(config, directory, origin, finished), host)
        consent.check_own(origin.tracking_uri, origin.trial_key, path)
        if changes:
            config = directory.change(changes)
        if more:
            check(resolve(merge(config.model_dump(), more)))  # before the run is no finished one any more
            directory.forget_end()
            config = directory.change(more)
        spaces = check(config)
        prepare(config)
        return (yield from _work(config, spaces, directory, host, resume=True, train=train))


def _more_steps(
    config: ExperimentConfig, origin: Origin, directory: RunDirectory, finished: Result | None, changes: Tree
) -> tuple[Tree, Tree]:
    """What of `changes` lets the run go on for longer, with what follows from it, and the rest of them.

    Schedules stay as they were. The window of the score, where it was that of the length, becomes that of the new one.
    """
    rest = {key: value for key, value in changes.items() if key != "steps"}
    if "steps" not in changes:
        return {}, rest
    steps, path = resolve(merge(config.model_dump(), {"steps": changes["steps"]})).steps, directory.path
    done = finished["env_steps"] if finished else config.steps - 1
    if steps <= done:
        had = f"has done {done}" if finished else f"has {config.steps} to do"
        raise BadInput(f"--steps is {steps}, and the run in {path} {had}: give more, of all that it is to have.")
    if origin.parent_run_id is not None:
        raise BadInput(
            f"--steps is {steps}, but {path} is a trial of a sweep, whose trials stay as planned: leave it out."
        )
    if finished and newest_checkpoint(directory) is None:
        raise BadInput(f"--steps is {steps}, but {path} has no checkpoint to go on from: train anew.")
    evaluation = config.evaluation
    more: Tree = {"steps": steps}
    if evaluation.score_window == default_score_window(config.steps, evaluation.interval):
        more["evaluation"] = {"score_window": default_score_window(steps, evaluation.interval)}
    return (more if steps > config.steps or finished else {}), rest


def _track_at(uri: str, directory: RunDirectory, origin: Origin) -> Origin:
    """Have the run tracked at the store that the person names."""
    known = hide_secret(uri)
    consent.remember(known)
    if known != origin.tracking_uri:
        directory.retrack(known, None)
    return origin._replace(tracking_uri=known)


def _to_the_end(training: Training, path: Path) -> Result:
    while True:
        try:
            next(training)
        except StopIteration as end:
            result: Result = end.value
            return result
        except KeyboardInterrupt:
            if not is_run(path):  # it had not begun
                raise
            raise Interrupted(f"Ended at once: {describe_resuming(RunDirectory(path))}") from None


def _check_changes(config: ExperimentConfig, changes: Tree, path: Path, has_ended: bool) -> None:
    if has_ended:
        raise BadInput(
            f"{next(iter(flatten(changes)))} changes nothing in {path}, which has ended: leave it out, or "
            "let the run go on with --steps N."
        )
    changes = {key: value for key, value in changes.items() if key != "tracking"}
    if config.runtime.kind == "inline":  # state is free of engines
        changes = {key: value for key, value in changes.items() if key not in ("engine", "device")}
    fixed = [key for key in flatten(changes) if not key.startswith("runtime.") or key == "runtime.kind"]
    if fixed:
        raise BadInput(f"{fixed[0]} is fixed for a run that has begun: train a new one, or leave it out.")
    if changes and config.runtime.kind == "inline":
        key = next(iter(flatten(changes)))
        raise BadInput(f"{key} belongs to runs on actors, and this one is inline: leave it out.")


def _with_deployed(config: ExperimentConfig, directory: RunDirectory, origin: Origin, finished: Result) -> Result:
    """The result with the deployed score, which runs that ended under an earlier version do not have yet."""
    if "deployed" in finished or not directory.best_policy_file.exists():
        return finished
    consent.check_own(origin.tracking_uri, origin.trial_key, directory.path)  # it will be told of it
    plugins.load(plugins.needed(config.plugins, modules.modules_of(config.env)))
    with closing(make_display(config.steps)) as display:
        deployed = play_deployed(config, directory, display.say)
    if deployed is None:  # nor did it keep its best policy
        return finished
    directory.mark_undelivered()
    return {**finished, "deployed": deployed}


def deliver_waiting(path: Path, host: Host) -> bool:
    """Another try to tell MLflow what it has not got of a run that has ended or stopped; whether anything still waits.

    Raises BadInput where the run is damaged.
    """
    with closing(RunDirectory(path)) as directory:
        config, origin = directory.open()
        directory.lock(host.lock_wait_s)
        finished, waiting = directory.read_result(), directory.waiting()
        if finished is not None:
            _deliver_again(config, directory, origin, finished, host)
        elif waiting is not None:
            consent.check_own(origin.tracking_uri, origin.trial_key, path)
            with closing(host.make_display(config.steps)) as display:
                tracker = _make_tracker(config, directory, origin, display.say)
                log_points(tracker, directory.read_points())
                end_tracking(directory, tracker, waiting.status, display.say)
        return directory.waiting() is not None


def _deliver_again(
    config: ExperimentConfig, directory: RunDirectory, origin: Origin, finished: Result, host: Host
) -> Result:
    """The result, after another try to tell MLflow where the first did not succeed."""
    if not directory.undelivered_mark.exists():
        return finished
    consent.check_own(origin.tracking_uri, origin.trial_key, directory.path)
    with closing(host.make_display(config.steps)) as display:
        return deliver_again(directory, _make_tracker(config, directory, origin, display.say), finished, display.say)


def check(config: ExperimentConfig) -> Spaces:
    """Read the spaces. Raises BadInput where plugins, environment, rules, sparsities or device cannot be used."""
    plugins.load(config.plugins)
    spaces = probe_spaces(config.env)
    check_rules(config, plan_agent(config, spaces.observation_size, spaces.action_size))
    check_engine(config)
    inherited_models(config, spaces)
    return spaces


def prepare(config: ExperimentConfig) -> None:
    """Compile what is compiled once a machine, before the run's clock starts."""
    prepare_engine(config)
    compile_kernels()


def _work(
    config: ExperimentConfig, spaces: Spaces, directory: RunDirectory, host: Host, resume: bool, train: Train
) -> Training:
    _, origin = directory.open()
    display = host.make_display(config.steps)
    with host.stop() as stop:
        if not resume and not host.is_one_of_many:
            display.say(heading(config, spaces, directory, origin))
        tracker = _make_tracker(config, directory, origin, display.say)
        try:
            tracker.start()
            run = Run(config, spaces, directory, tracker, display, stop, host.is_futile)
            return (yield from train(run, resume))
        except KeyboardInterrupt:
            if tracker.run_id is not None:  # else MLflow knows nothing of it, and may be half imported
                _stop_tracking(directory, tracker, "KILLED", display)
            raise
        except (Interrupted, GeneratorExit):
            _stop_tracking(directory, tracker, "KILLED", display)
            raise
        except BaseException:
            _stop_tracking(directory, tracker, "FAILED", display)
            raise
        finally:
            display.close()


def _stop_tracking(directory: RunDirectory, tracker: Tracker, status: Status, display: Display) -> None:
    with suppress(RunFailed):  # no room for a mark: what ends the run is to be said
        directory.mark_undelivered()  # a process that is told to end may be killed before it has ended
    with suppress(RunFailed):
        end_tracking(directory, tracker, status, display.say)


def _make_tracker(
    config: ExperimentConfig, directory: RunDirectory, origin: Origin, warn: Callable[[str], None]
) -> Tracker:
    versions = {f"{tags.VERSION}{package}": version for package, version in installed_versions().items()}
    subject = Subject(directory.path, origin.trial_key, origin.experiment, config.model_dump(mode="json"))
    return LoggedTracker(
        [Background(name, subject, warn) for name in config.tracking.loggers],
        tracking_uri=origin.tracking_uri,
        experiment_name=origin.experiment,
        trial_key=origin.trial_key,
        warn=warn,
        run_name=directory.path.name,
        tags={tags.CONFIG_HASH: config.hash, **origin.tags, **versions},
        params=config.model_dump(mode="json"),
        parent_run_id=origin.parent_run_id,
    )
