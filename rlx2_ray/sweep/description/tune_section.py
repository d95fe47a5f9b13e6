"""The section `tune` of a sweep's file, in the words of Ray Tune; times are in env steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from rlx2_ray.config import ExperimentConfig, NonNegative, Positive, Section, Tree, at, validate
from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.sweep.description.reported import check_metric
from rlx2_ray.sweep.description.space import Space, parse_space, varied_keys
from rlx2_ray.types import BadInput

# Keys that PBT may change in a run that goes on: nothing that is stored has their shape.
MUTABLE = (
    "agent.discount",
    "agent.exploration_noise",
    "agent.learning_rate",
    "agent.target_noise_clip",
    "agent.target_policy_noise",
    "agent.tau",
    "replay.policy_distance_threshold",
    "target.beta",
    "target.mean",
    "target.n_step",
    "topology.drop_fraction",
    "topology.interval",
)


class NoScheduler(Section):
    name: Literal["none"] = "none"


class AshaScheduler(Section):
    """Tune's ASHAScheduler; its time is env steps, its max_t the experiment's steps."""

    name: Literal["asha"]
    grace_period: Positive  #: env steps that every trial has; default a tenth of the steps
    reduction_factor: float = Field(4, gt=1)  #: of the trials at a rung one in so many goes on
    brackets: Positive = 1  #: each with a grace period of its own


class PbtScheduler(Section):
    """Tune's PopulationBasedTraining; its time is env steps."""

    name: Literal["pbt"]
    perturbation_interval: Positive  #: env steps after which trials are compared; default a tenth of the steps
    hyperparam_mutations: Tree = {}  #: as param_space, without grid: what pbt changes

    @property
    def mutations(self) -> Space:
        return parse_space(self.hyperparam_mutations, "tune.scheduler.hyperparam_mutations")


Scheduler = NoScheduler | AshaScheduler | PbtScheduler
SCHEDULERS: dict[str, type[Scheduler]] = {"none": NoScheduler, "asha": AshaScheduler, "pbt": PbtScheduler}
TIMES = {"asha": "grace_period", "pbt": "perturbation_interval"}  # whose default follows from the steps


class Searcher(Section):
    name: Literal["random", "optuna"] = "random"  #: optuna: tree-structured Parzen estimator
    seed: NonNegative = 0  #: of what is drawn at random


class WholeSection(Section):
    """What is said of all trials together: all of the section `tune` that a queue of sweeps has for itself."""

    metric: str = "score"  #: by which trials are compared, of the result or of an evaluation
    mode: Literal["max", "min"] = "max"  #: whether more of it is better
    max_concurrent: Positive | None = None  #: trials at a time; None: as many as the CPUs allow
    processes: NonNegative | None = None  #: that step environments, with engine population. None: CPUs but one
    max_failures: NonNegative = 2  #: times that a trial is tried again
    budget: Budget = Budget()


class TuneSection(WholeSection):
    num_samples: Positive = 1  #: times each grid point, or draws where there is no grid
    scheduler: Scheduler = NoScheduler()  #: none, asha or pbt: what becomes of trials while they run
    searcher: Searcher = Searcher()  #: random or optuna: where the next trial's values come from
    seeds: Positive | None = None  #: the same as a grid over seed, from 0 on

    @property
    def is_planned(self) -> bool:
        """Whether all trials are known before the first, and none is stopped or changed for what others came to."""
        return self.searcher.name == "random" and self.scheduler.name == "none"


def parse_tune(tree: object, example: ExperimentConfig) -> TuneSection:
    """The section with all its values; `example` is one of the trials. Raises BadInput.

    `scheduler: asha` is short for `scheduler: {name: asha}`, and so is `searcher: optuna`.
    """
    if not isinstance(tree, Mapping):
        return validate(TuneSection, tree, "tune")
    named = {key: {"name": tree[key]} for key in ("scheduler", "searcher") if isinstance(tree.get(key), str)}
    whole = {**tree, **named}
    if "scheduler" in whole:
        whole["scheduler"] = _parse_scheduler(whole["scheduler"], example)
    tune = validate(TuneSection, whole, "tune")
    check_metric(tune.metric, example, tune.scheduler.name)
    return tune


def scheduler_name(tree: Mapping[str, Any]) -> str:
    """Returns the name of the scheduler in the file of a sweep, where it stands alone or with values of its own."""
    scheduler = at(tree, "tune.scheduler", "none")
    return str(scheduler.get("name", "none") if isinstance(scheduler, Mapping) else scheduler)


def _parse_scheduler(tree: object, example: ExperimentConfig) -> Scheduler:
    name = tree.get("name", "none") if isinstance(tree, Mapping) else tree
    if not isinstance(tree, Mapping) or not isinstance(name, str) or name not in SCHEDULERS:
        raise BadInput(f"tune.scheduler is {name!r}: choose one of {', '.join(SCHEDULERS)}.")
    evaluations = example.evaluation.early_interval  # after which it is heard of a trial, or more often
    tenth = min(example.steps, max(evaluations, example.steps // 10 // evaluations * evaluations))
    key = TIMES.get(name)
    defaults = {key: tenth} if key else {}
    scheduler = validate(SCHEDULERS[name], {**defaults, **tree}, "tune.scheduler")
    if key is not None:
        if key in tree:
            _check_in_time(name, f"tune.scheduler.{key}", getattr(scheduler, key), example.steps)
        _check_in_time(name, _name(example), evaluations, example.steps)
    if isinstance(scheduler, PbtScheduler):
        _check_mutations(scheduler.mutations)
        interval = scheduler.perturbation_interval
        if interval % evaluations:
            raise BadInput(
                f"tune.scheduler.perturbation_interval is {interval}, no multiple of {_name(example)}, "
                f"{evaluations}, after which pbt hears of a trial: give a multiple."
            )
    return scheduler


def _check_in_time(scheduler: str, key: str, env_steps: int, steps: int) -> None:
    if env_steps >= steps:
        raise BadInput(f"{key} is {env_steps} but steps is {steps}, so {scheduler} would never act: lower it.")


def _name(example: ExperimentConfig) -> str:
    """Names the key that says how far evaluations are apart."""
    is_rare = example.evaluation.early_interval > example.evaluation.interval
    return "evaluation.early_interval" if is_rare else "evaluation.interval"


def _check_mutations(mutations: Space) -> None:
    section = "tune.scheduler.hyperparam_mutations"
    if not mutations:
        raise BadInput(f"{section} is empty: name what pbt changes, such as agent.tau: {{uniform: [0.001, 0.02]}}.")
    for key in varied_keys(mutations):
        if key not in MUTABLE:
            raise BadInput(
                f"{key} is in {section}, but cannot change in a run that goes on: choose from {', '.join(MUTABLE)}."
            )
    for parameter in mutations:
        if parameter.form == "grid" or len(parameter.keys) > 1:
            raise BadInput(
                f"{parameter.name} has {parameter.form} in {section}: write one key with choice, in whose order pbt "
                "moves, or a range."
            )
