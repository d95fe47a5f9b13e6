"""What sweeps and compressions have in common: a Ray, a parent run in MLflow, trials, a record, a result, a report."""

from __future__ import annotations

import math
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from rlx2_ray import plugins
from rlx2_ray.config import EnvConfig, ExperimentConfig, Tree, yaml_text
from rlx2_ray.distributed.cluster import cluster_cpus, cluster_gpus, own_ray, running_ray
from rlx2_ray.distributed.cluster import prepare_environment as prepare_ray_environment
from rlx2_ray.envs import modules
from rlx2_ray.experiment.display import Display, make_display
from rlx2_ray.experiment.display import Status as Shown
from rlx2_ray.experiment.session import check, prepare
from rlx2_ray.report.record.record import Record, TrackedRun
from rlx2_ray.runs.directory import Tracking, Waiting
from rlx2_ray.runs.result import installed_versions
from rlx2_ray.sweep.delivery import begin_anew, deliver_trials, waiting_points
from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.sweep.desk.mending import mend_trials
from rlx2_ray.sweep.desk.record_keeper import RecordKeeper
from rlx2_ray.sweep.desk.spending import Spending
from rlx2_ray.sweep.desk.sweep_directory import Result, SweepDirectory, tracked_at
from rlx2_ray.sweep.trials.job import Job, Planner
from rlx2_ray.sweep.tuning import Tuning, prepare_environment, run_trials, trial_cpus
from rlx2_ray.tracking import consent, tags
from rlx2_ray.tracking.check import check_store
from rlx2_ray.tracking.loggers import check_loggers
from rlx2_ray.tracking.tracker import Status, Tracker
from rlx2_ray.tracking.uri import hide_secret, resolve_tracking_uri, sqlite_file
from rlx2_ray.types import Interrupted, RunFailed, Spaces

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from rlx2_ray.sweep.populations import Populations
    from rlx2_ray.sweep.reporter import Reporter
    from rlx2_ray.sweep.trials.population_host import Needs


class Desk(NamedTuple):
    """Where a campaign keeps its things."""

    directory: SweepDirectory
    keeper: RecordKeeper
    display: Display
    tracker: Tracker
    run_id: str  # of the campaign, in MLflow
    spending: Spending
    tracking: Tracking  # below which its trials are
    concurrency: int  # trials at a time
    population: Needs | None = None  # of which they are slots


class Work(ABC):
    """What one process does of a campaign that is prepared: all that it needs is there."""

    @abstractmethod
    def tuning(self, job: Job) -> Tuning: ...

    def status(self) -> Shown:
        """Returns what else is shown while the trials run."""
        return {}

    def is_spent(self, reporter: Reporter) -> bool:
        """Whether trials in progress are to stop where they are."""
        return False

    @abstractmethod
    def is_complete(self, reporter: Reporter) -> bool:
        """Whether all is done, so that it was not an interruption that ended it."""

    @abstractmethod
    def conclude(self, reporter: Reporter) -> Result:
        """Returns the result, all trials being done."""

    def failure(self, reporter: Reporter) -> str | None:
        """Returns why the command fails, with all trials done and reported; None where it does not."""
        return None


class Campaign(ABC):
    """A sweep or a compression."""

    kind: str

    @property
    @abstractmethod
    def planner(self) -> Planner: ...

    @property
    @abstractmethod
    def tree(self) -> Tree:
        """What it is read from."""

    @property
    @abstractmethod
    def examples(self) -> list[ExperimentConfig]:
        """One configuration or more that stand for all trials: checked before the start."""

    @property
    def environments(self) -> list[EnvConfig]:
        """All that a trial may have."""
        return [example.env for example in self.examples]

    @property
    @abstractmethod
    def max_concurrent(self) -> int | None:
        """Trials at a time; None: as many as the CPUs allow."""

    @property
    @abstractmethod
    def processes(self) -> int | None:
        """That step the environments of a population; None: what the CPUs allow."""

    @property
    @abstractmethod
    def most_trials(self) -> int:
        """Trials that there may be in all."""

    @abstractmethod
    def kinds(self, spaces: Spaces) -> Mapping[str, tuple[ExperimentConfig, Spaces]]:
        """By name, all that one trial may have and another not; `spaces`: of the first example."""

    @property
    @abstractmethod
    def budget(self) -> Budget: ...

    @property
    def archive(self) -> Path | None:
        """Of finished runs, which are not run again."""
        return None

    @property
    def has_scheduler(self) -> bool:
        """Whether trials are stopped for good; where there is none, those that a budget ended may go on."""
        return False

    def check(self, spaces: Spaces) -> None:
        """Raises BadInput where a trial could not run, before anything is written."""
        return

    def tell_again(self, desk: Desk) -> Result:
        """Hand over what MLflow gets of the whole, beside its files; returns what is new of the result."""
        return {}

    @abstractmethod
    def prepare(self, desk: Desk, spaces: Spaces) -> Work:
        """Do what comes before the first trial, and say what it will cost."""


def start(campaign: Campaign, out: Path, tracking: Tracking) -> Result:
    """A new campaign, which a person has described, in `out`, to its end. Raises BadInput with nothing written."""
    own = [each for example in campaign.examples for each in example.plugins]
    plugins.allow(each.path for each in own)
    plugins.load(own)
    modules.allow_typed(campaign.environments)
    check_loggers([each for example in campaign.examples for each in example.tracking.loggers])
    with closing(SweepDirectory(out)) as directory:
        directory.check_unused()
        tracking = tracking._replace(uri=hide_secret(tracking.uri))
        spaces = _check(campaign)
        populations = _populations(campaign, spaces)
        check_store(tracking.uri)
        # Before anything is written, since a cluster may not answer:
        with _ray(campaign, populations, directory, tracking.uri):
            record = directory.create(campaign.kind, campaign.tree, tracking)
            consent.remember(tracking.uri)
            return _work(campaign, spaces, populations, directory, record)


def go_on(campaign: Campaign, directory: SweepDirectory, record: Record) -> Result:
    """Go on with a campaign that was interrupted or killed, or is not as it was described before, to its end."""
    uri, _, key = tracked_at(record)
    consent.check_own(uri, key, directory.path)
    directory.lock()
    spaces = _check(campaign)
    populations = _populations(campaign, spaces)
    check_store(uri)
    with _ray(campaign, populations, directory, uri):
        record = directory.write_description(record, campaign.tree)
        directory.forget_result()
        return _work(campaign, spaces, populations, directory, record)


def _check(campaign: Campaign) -> Spaces:
    """Returns the spaces of the first example."""
    spaces, *_ = [check(example) for example in campaign.examples]
    campaign.check(spaces)
    for example in campaign.examples:
        prepare(example)
    return spaces


def _populations(campaign: Campaign, spaces: Spaces) -> Populations | None:
    """Those that the trials have slots of; None where each has a process of its own."""
    if all(example.engine != "population" for example in campaign.examples):
        return None
    from rlx2_ray.sweep.populations import Members, plan_populations

    limits = (campaign.most_trials, campaign.max_concurrent, campaign.processes)
    return plan_populations(Members(campaign.kinds(spaces), *limits))


def _work(
    campaign: Campaign, spaces: Spaces, populations: Populations | None, directory: SweepDirectory, record: Record
) -> Result:
    first = campaign.examples[0]
    if populations is not None and first.runtime.address is not None and first.device == "cuda":
        populations = populations.spread(max(1, cluster_gpus()))
    with closing(make_display(campaign.examples[0].steps)) as display:
        record = replace(record, state="running", spaces=spaces)
        for sentence in directory.mended:
            display.say(sentence)
        desk = _open_desk(campaign, directory, record, display, _concurrency(campaign, populations))
        desk = desk._replace(population=populations.needs if populations else None)
        try:
            with _terminating_as_interrupting():
                return _run(campaign, spaces, populations, desk)
        except (Interrupted, KeyboardInterrupt):
            _end(desk, "interrupted", "KILLED")
            raise
        except BaseException:
            _end(desk, "failed", "FAILED")
            raise


def _open_desk(
    campaign: Campaign, directory: SweepDirectory, record: Record, display: Display, concurrency: int
) -> Desk:
    uri, experiment, key = tracked_at(record)
    tracker = _parent_tracker(campaign, directory, record, display)
    run_id, before = tracker.start_or_fail(), record.tracking
    if before and before.run_id not in (None, run_id):
        begin_anew(directory.trials, uri, run_id)
    record = replace(record, tracking=TrackedRun(uri, experiment, run_id))
    spending = Spending(campaign.budget, record.worked_s or 0.0)
    keeper = RecordKeeper(directory, record, tracker, spending)
    tracking = Tracking(uri, experiment, key, run_id)
    return Desk(directory, keeper, display, tracker, run_id, spending, tracking, concurrency)


def _run(campaign: Campaign, spaces: Spaces, populations: Populations | None, desk: Desk) -> Result:
    directory = desk.directory
    stopped = frozenset(desk.keeper.record.stopped if campaign.has_scheduler else ())
    store, floor = resolve_tracking_uri(desk.tracking.uri), directory.floor_file
    allowed, own = modules.allowed(), plugins.allowed()
    job = Job(directory.trials, desk.tracking, store, campaign.planner, floor, campaign.archive, allowed, own, stopped)
    known = mend_trials(job, desk.display.say)
    if populations is not None:
        desk.display.say(populations.sentence())
    work = campaign.prepare(desk, spaces)
    desk.keeper.write()
    from rlx2_ray.sweep.reporter import Reporter

    reporter = Reporter(campaign.planner, desk.keeper, desk.display, work.status, work.is_spent, known | stopped)
    with _running(job, populations) as actors:
        run_trials(work.tuning(job._replace(populations=actors)), directory.path, reporter)
    if not work.is_complete(reporter):
        raise Interrupted(f"Stopped; 'rlx2 resume {directory.path}' goes on.")
    return _finish(campaign.kind, work, desk, reporter)


def _running(job: Job, populations: Populations | None) -> AbstractContextManager[tuple[ActorHandle, ...]]:
    if populations is None:
        return nullcontext(())
    from rlx2_ray.sweep.populations import running

    return running(job, populations)


def _finish(kind: str, work: Work, desk: Desk, reporter: Reporter) -> Result:
    """Returns the result, written, tracked and reported."""
    directory, tracker = desk.directory, desk.tracker
    from rlx2_ray.report.page.answer import answer

    result = work.conclude(reporter)
    _note_state(desk, "finished")
    record = _report(directory)
    result |= {"kind": kind, "directory": str(directory.path), "report": str(directory.report_file)}
    result |= {"mlflow_run_id": tracker.run_id, "versions": installed_versions(), "answer": answer(record)}
    failure = work.failure(reporter)
    _deliver(desk, "FAILED" if failure else "FINISHED")
    if failure:
        raise RunFailed(failure)
    directory.write_result(result)
    return result


def deliver_again(campaign: Campaign, directory: SweepDirectory, record: Record, result: Result) -> Result:
    """The result of a campaign that has ended, after another try to tell MLflow what it has not got of it."""
    uri, _, key = tracked_at(record)
    consent.check_own(uri, key, directory.path)
    directory.lock()
    with closing(make_display(campaign.examples[0].steps)) as display:
        try:
            desk = _open_desk(campaign, directory, record, display, concurrency=1)
        except RunFailed as failure:
            display.say(str(failure))
            _say_waiting(directory, waiting_points(directory.trials), display)
            return result
        result = {**result, **campaign.tell_again(desk), "mlflow_run_id": desk.run_id}
        desk.keeper.write()
        _report(directory)
        _deliver(desk, "FINISHED")
        directory.write_result(result)
        return result


def _deliver(desk: Desk, status: Status) -> None:
    """The trials first, so that a parent that has ended has all of them; a mark stays where something waits."""
    directory = desk.directory
    directory.mark_undelivered()
    waiting = deliver_trials(directory.trials, desk.display.say)
    desk.tracker.log_artifacts([directory.description_file, directory.report_file, directory.figures])
    if desk.tracker.finish(status) and waiting is None:
        directory.undelivered_mark.unlink()
    else:
        _say_waiting(directory, waiting, desk.display)


def _say_waiting(directory: SweepDirectory, points: int | None, display: Display) -> None:
    display.say(Waiting("FINISHED", points or 0).sentence(directory.path))


def _report(directory: SweepDirectory) -> Record:
    """Returns the record that it is made of."""
    from rlx2_ray.report.page.page import write_figures, write_report
    from rlx2_ray.report.record.directory import read_directory

    record = read_directory(directory.path)
    write_report(record, directory.report_file)
    write_figures(record, directory.figures)
    return record


def _end(desk: Desk, state: str, status: Status) -> None:
    _note_state(desk, state)
    is_there = desk.tracker.finish(status)
    waiting = waiting_points(desk.directory.trials)
    if waiting is not None or not is_there:
        _say_waiting(desk.directory, waiting, desk.display)


def _note_state(desk: Desk, state: str) -> None:
    desk.keeper.keep(replace(desk.keeper.record, state=state))
    desk.keeper.write()


def _parent_tracker(campaign: Campaign, directory: SweepDirectory, record: Record, display: Display) -> Tracker:
    versions = {f"{tags.VERSION}{package}": version for package, version in installed_versions().items()}
    return Tracker(
        *tracked_at(record),
        run_name=directory.path.name,
        tags={tags.KIND: campaign.kind, **versions},
        params=_params(campaign.tree),
        warn=display.say,
    )


def _params(tree: Tree) -> Tree:
    """For MLflow: keys of a configuration as with a single run, each other section as a text."""
    own = ExperimentConfig.model_fields
    return {key: value if key in own else yaml_text.write(value) for key, value in tree.items()}


@contextmanager
def _ray(
    campaign: Campaign, populations: Populations | None, directory: SweepDirectory, tracking_uri: str
) -> Iterator[None]:
    """A cluster that is running, or a Ray of its own with room for the trials that run at a time."""
    prepare_environment()
    address = campaign.examples[0].runtime.address
    if address is None:
        prepare_ray_environment()
        trials = _concurrency(campaign, populations) * _cpus(campaign)
        with own_ray(math.ceil(trials) + (populations.cpus if populations else 0)):
            yield
    else:
        database = sqlite_file(tracking_uri)
        own = [each.path for example in campaign.examples for each in example.plugins]
        with running_ray(address, [directory.path, *([database.parent] if database else [])], own):
            yield


def _concurrency(campaign: Campaign, populations: Populations | None) -> int:
    """On a cluster, of the nodes that have joined."""
    if populations is not None:
        return populations.slots
    is_own = campaign.examples[0].runtime.address is None
    cpus = len(os.sched_getaffinity(0)) if is_own else cluster_cpus()
    return campaign.max_concurrent or max(1, int(cpus // _cpus(campaign)))


def _cpus(campaign: Campaign) -> float:
    """Of the largest trial."""
    return max(map(trial_cpus, campaign.examples))


@contextmanager
def _terminating_as_interrupting() -> Iterator[None]:
    """SIGTERM as Ctrl-C, which Tune takes as the wish to stop in order; both also where a shell has them ignored."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
