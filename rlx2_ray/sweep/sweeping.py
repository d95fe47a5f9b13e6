"""`rlx2 sweep`: many runs that differ in some keys, as Ray Tune's random search, Optuna, ASHA or PBT choose them."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from rlx2_ray.agents.rules import check_rules
from rlx2_ray.config import EnvConfig, ExperimentConfig, Tree
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.random_policy import random_score
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.report.record.trial import Trial
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.sweep.campaign import Campaign, Desk, Work
from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.sweep.description.files import SweepDescription
from rlx2_ray.sweep.description.queue import QueueDescription, distinguishing_keys, queue_tree
from rlx2_ray.sweep.description.space import pack, to_tree
from rlx2_ray.sweep.description.space_check import each_value, environments, first_config
from rlx2_ray.sweep.description.space_tune import clip, to_mutations
from rlx2_ray.sweep.description.tune_section import AshaScheduler, PbtScheduler
from rlx2_ray.sweep.desk.sweep_directory import Result
from rlx2_ray.sweep.past import Past
from rlx2_ray.sweep.planner import INDEX, SweepPlanner, make_planner, name_of, tune_space
from rlx2_ray.sweep.trials.job import Job
from rlx2_ray.sweep.tuning import Tuning
from rlx2_ray.types import BadInput, RunFailed, Spaces

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.search import Searcher

    from rlx2_ray.sweep.reporter import Reporter

ENDED_BY = "Ended by"
JOURNAL = "optuna.log"  # in the sweep's directory: 'optuna-dashboard FILE' shows it


class Sweep(Campaign):
    kind = "sweep"

    def __init__(self, queue: QueueDescription) -> None:
        self.queue = queue
        self.tune = queue.tune
        self._planner = make_planner(queue)
        self.spaces_of: dict[str, Spaces] = {}  # by key of the environment

    @property
    def planner(self) -> SweepPlanner:
        return self._planner

    @property
    def tree(self) -> Tree:
        return queue_tree(self.queue)

    @property
    def only(self) -> SweepDescription:
        """The sweep that it is, where it is no queue; schedulers and searchers are of this one."""
        return self.queue.members[0].sweep

    @cached_property
    def examples(self) -> list[ExperimentConfig]:
        """One for every environment, algorithm, engine, runtime and run to start from, all of which may be missing."""
        if not self.planner.samples:
            return [first_config(self.only.config, self.only.varied)]
        found: dict[tuple[str, ...], ExperimentConfig] = {}
        for config in self._configs:
            run_before = config.target.expert or config.topology.ticket
            key = (config.env.id, config.algo, config.engine, config.device, repr(config.runtime), run_before or "")
            found.setdefault(key, config)
        return list(found.values())

    @cached_property
    def _configs(self) -> list[ExperimentConfig]:
        """Of all trials that are known beforehand."""
        return [self.planner.plan({INDEX: index}, "").config for index in range(len(self.planner.samples))]

    @property
    def compared(self) -> dict[str, ExperimentConfig]:
        """Task -> a dense configuration of those that are known beforehand, where others are beside it."""
        dense = {config.task: config for config in self._configs if config.is_dense}
        others = {config.task for config in self._configs if not config.is_dense}
        return {task: config for task, config in dense.items() if task in others}

    @property
    def has_several_environments(self) -> bool:
        return len({config.env.id for config in self._configs}) > 1

    @property
    def environments(self) -> list[EnvConfig]:
        sweeps = [member.sweep for member in self.queue.members]
        return [env for sweep in sweeps for env in environments(sweep.config, sweep.varied)]

    def check(self, spaces: Spaces) -> None:
        """Whether the archive is there, and every trial that is known beforehand leaves every layer some weights."""
        if self.archive is not None and not self.archive.is_dir():
            raise BadInput(f"archive is {self.archive}, which is no directory: make it, or leave it out.")
        self.spaces_of[self.examples[0].env.key] = spaces
        for config in self._configs:
            if config.env.key not in self.spaces_of:
                self.spaces_of[config.env.key] = probe_spaces(config.env)
            own = self.spaces_of[config.env.key]
            check_rules(config, plan_agent(config, own.observation_size, own.action_size))

    @property
    def max_concurrent(self) -> int | None:
        return self.tune.max_concurrent

    @property
    def processes(self) -> int | None:
        return self.tune.processes

    @property
    def most_trials(self) -> int:
        return self.trials

    def kinds(self, spaces: Spaces) -> dict[str, tuple[ExperimentConfig, Spaces]]:
        planned = ((name, self.planner.planned(name)) for name in self.planner.planned_names)
        configs = {name: plan.config for name, plan in planned if plan is not None}
        if not self.queue.is_planned:  # searchers and schedulers have trials of which nobody knows yet
            configs |= each_value(self.only.config, self.only.varied)
        return {name: (config, self.spaces_of.get(config.env.key, spaces)) for name, config in configs.items()}

    @property
    def budget(self) -> Budget:
        return self.tune.budget

    @property
    def archive(self) -> Path | None:
        return self.queue.archive

    @property
    def has_scheduler(self) -> bool:
        return self.only.tune.scheduler.name != "none"

    @property
    def trials(self) -> int:
        return min(self.queue.trials, self.budget.runs or self.queue.trials)

    def prepare(self, desk: Desk, spaces: Spaces) -> Work:
        runs = self.trials
        env_steps = sum(config.steps for config in self._configs) or runs * self.examples[0].steps
        is_queue = bool(self.queue.members[0].name)
        record = replace(
            desk.keeper.record,
            param_space={} if is_queue else to_tree(self.only.varied),
            members=distinguishing_keys(self.queue) if is_queue else {},
            spaces_of=self.spaces_of,
            metric=self.tune.metric,
            mode=self.tune.mode,
            planned={"runs": runs, "env_steps": env_steps},
        )
        desk.keeper.keep(record)
        desk.display.retotal(env_steps)
        folder = desk.directory.path
        desk.display.say(f"{runs} trials, {env_steps} env steps, {desk.concurrency} at a time, in {folder}")
        return SweepWork(self, desk)


class SweepWork(Work):
    def __init__(self, sweep: Sweep, desk: Desk) -> None:
        self._sweep = sweep
        self._only = sweep.only
        self._tune = sweep.tune
        self._desk = desk

    def tuning(self, job: Job) -> Tuning:
        from ray import tune

        past = Past(self._desk.directory.trials, self._desk.keeper.record)
        is_optuna = self._only.tune.searcher.name == "optuna"
        config = tune.TuneConfig(
            metric=self._tune.metric,
            mode=self._tune.mode,
            num_samples=self._sweep.trials if is_optuna else 1,
            search_alg=self._optuna(past) if is_optuna else None,
            scheduler=self._scheduler(past),
            max_concurrent_trials=self._limit(),
            reuse_actors=True,
        )
        space = None if is_optuna else tune_space(self._sweep.planner, past.values if self._only.mutations else {})
        return Tuning(job, space, config, self._tune.max_failures)

    def _limit(self) -> int | None:
        """On a cluster nodes come and go, so that Tune is to start what fits, and to ask for more nodes."""
        example = self._sweep.examples[0]
        is_elastic = example.runtime.address is not None and example.engine != "population"
        is_elastic = is_elastic and bool(self._sweep.planner.samples)
        return self._tune.max_concurrent if is_elastic else self._desk.concurrency

    def _optuna(self, past: Past) -> Searcher:
        from rlx2_ray.sweep.optuna_searcher import OptunaSearcher

        space, planner, keeper = self._only.space, self._sweep.planner, self._desk.keeper
        searcher = OptunaSearcher(
            space,
            self._only.tune.searcher.seed,
            self._tune.metric,
            self._tune.mode,
            name_of=lambda drawn, label: planner.plan(drawn, label).name,
            drawn_of=lambda name: pack(space, past.values.get(name, {})),
            value_of=lambda name: past.value_of(name, self._tune.metric),
            note=lambda event, name: keeper.note(event, name),
            journal=self._desk.directory.path / JOURNAL,
        )
        searcher.go_on(past.events)
        return searcher

    def _scheduler(self, past: Past) -> TrialScheduler | None:
        from rlx2_ray.sweep.schedulers import Asha, Pbt

        scheduler, named = self._only.tune.scheduler, partial(name_of, self._sweep.planner)
        if isinstance(scheduler, AshaScheduler):
            return Asha(
                past.reports,
                named,
                time_attr="env_steps",
                max_t=max(config.steps for config in self._sweep.examples),
                grace_period=scheduler.grace_period,
                reduction_factor=scheduler.reduction_factor,
                brackets=scheduler.brackets,
            )
        if isinstance(scheduler, PbtScheduler):
            return Pbt(
                past.reports,
                named,
                time_attr="env_steps",
                perturbation_interval=scheduler.perturbation_interval,
                hyperparam_mutations=to_mutations(self._only.mutations),
                custom_explore_fn=partial(clip, self._only.mutations),
                log_config=False,
            )
        return None

    def is_spent(self, reporter: Reporter) -> bool:
        return self._desk.spending.what_is_spent(reporter.env_steps) is not None

    def is_complete(self, reporter: Reporter) -> bool:
        all_there = reporter.counts.all >= self._sweep.trials and not reporter.unfinished
        return all_there or reporter.end_if_spent()

    def failure(self, reporter: Reporter) -> str | None:
        failed = [reporter.name(trial) for trial in reporter.trials if trial.status == trial.ERROR]
        if not failed:
            return None
        directory = self._desk.directory
        return (
            f"{len(failed)} of {reporter.counts.all} trials failed ({', '.join(failed)}): {directory.trials} has "
            f"their logs, and 'rlx2 resume {directory.path}' tries them again."
        )

    def conclude(self, reporter: Reporter) -> Result:
        self._measure_random()
        self._desk.keeper.write()  # the trials that were stopped, which are read back here
        trials = [_row(trial) for trial in read_directory(self._desk.directory.path).trials]
        self._check_none_is_lost({row["name"] for row in trials}, reporter)
        spent = self._desk.spending.what_is_spent(reporter.env_steps) if reporter.is_cut_short else None
        if spent:
            self._say_end(spent, sum(row["state"] == "finished" for row in trials))
        return {
            "metric": self._tune.metric,
            "mode": self._tune.mode,
            "trials": trials,
            "best": self._best(reporter),
            "env_steps": sum(row["env_steps"] for row in trials),
            "ended_by": spent,
        }

    def _measure_random(self) -> None:
        """Play random actions, the zero of what agents gain, where a dense arm is there to be compared with."""
        keeper, known = self._desk.keeper, dict(self._desk.keeper.record.random_of)
        for task, config in self._sweep.compared.items():
            if task not in known:
                self._desk.display.say(
                    f"Random actions are played in {config.env.id}, the zero of what agents gain ..."
                )
                spaces = self._sweep.spaces_of[config.env.key]
                known[task] = random_score(config, spaces, self._desk.display.say)
        keeper.keep(replace(keeper.record, random_of=known))

    def _check_none_is_lost(self, found: set[str], reporter: Reporter) -> None:
        """Raises RunFailed where a trial has gone while the sweep ran."""
        lost = [reporter.name(trial) for trial in reporter.trials if reporter.name(trial) not in found]
        if lost and not reporter.is_cut_short:
            directory = self._desk.directory
            raise RunFailed(
                f"{', '.join(lost)} cannot be found or read in {directory.trials} any more: "
                f"'rlx2 resume {directory.path}' runs what is lost again."
            )

    def _say_end(self, spent: str, finished: int) -> None:
        message = f"{ENDED_BY} {spent}, after {finished} of {self._sweep.trials} trials."
        self._desk.keeper.say(message)
        more = f" 'rlx2 resume {self._desk.directory.path} --max-hours H' goes on for H hours more."
        self._desk.display.say(message + (more if self._sweep.queue.is_planned else ""))

    def _best(self, reporter: Reporter) -> Result | None:
        """The trial whose last report has the best metric; None where they are of several environments."""
        metric, sign = self._tune.metric, 1 if self._tune.mode == "max" else -1
        values = {
            reporter.name(trial): float(trial.last_result.get(metric, math.nan))
            for trial in reporter.trials
            if trial.last_result
        }
        known = {name: value for name, value in values.items() if not math.isnan(value)}
        if not known or self._sweep.has_several_environments:
            return None
        name = max(known, key=lambda name: sign * known[name])
        return {"name": name, metric: known[name]}


def _row(trial: Trial) -> Result:
    return {
        "name": trial.name,
        "state": _final_state(trial),
        "changes": trial.changes,
        "seed": trial.seed,
        "env_steps": trial.env_steps,
        "score": None if math.isnan(trial.score_so_far) else trial.score_so_far,
        "deployed": trial.deployed,
    }


def _final_state(trial: Trial) -> str:
    """None runs any more, though the record has not been closed."""
    if trial.state == "finished":
        return "finished"
    return "stopped" if trial.ended_early else "interrupted"
