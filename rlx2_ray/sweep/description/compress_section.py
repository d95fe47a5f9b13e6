"""The section `compress` of a compression's file: what is searched, how it is decided, and what it may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from rlx2_ray.config import (
    Count,
    ExperimentConfig,
    Fraction,
    NonNegative,
    Positive,
    Section,
    Sparsity,
    Tree,
    flatten,
    validate,
)
from rlx2_ray.runs.scores import DEPLOYED, FINAL, ScoreName
from rlx2_ray.sweep.description.budget import Budget
from rlx2_ray.types import BadInput

MOST_METHODS = 16
CHIP = "Cortex-M4F"  # where no other is named


class CompressSection(Section):
    #: what is to be small: live weights of policy and critics, bytes of the policy as C, or microseconds of its action
    objective: Literal["weights", "bytes", "latency"] = "weights"
    #: latency: the core of which it is. None: Cortex-M4F
    chip: Literal["Cortex-M0+", "Cortex-M4F", "Cortex-M7"] | None = None
    #: that are searched one after the other: names, or a mapping of `method` and other keys; empty: that of the run
    methods: tuple[Tree, ...] = Field((), max_length=MOST_METHODS)
    axis: Literal["tied", "policy", "critic", "both"] = "tied"  #: what is made sparse; both: each by itself, in 2-D
    critic_density_ratio: float = Field(2.0, gt=0)  #: tied: density of the critic over that of the policy, at most 1
    #: sparsities that come into question, log-spaced in density. None: 16, or 9 of each where the axis is both
    levels: Annotated[Count, Field(ge=3, le=256)] | None = None
    min_sparsity: Annotated[Sparsity, Field(gt=0)] = 0.5  #: the least sparsity that comes into question
    max_sparsity: Sparsity = 0.995  #: the greatest sparsity that comes into question
    threshold: float = Field(0.97, gt=0)  #: of the ratio sparse / dense return
    accept: Fraction = 0.9  #: probability of being above the threshold from which a level is accepted
    reject: Fraction = 0.1  #: probability up to which it is rejected
    score: ScoreName = FINAL  #: of a run, by which networks are decided; the other one is stated beside it
    statistic: Literal["iqm", "mean"] = "iqm"  #: over seeds: interquartile mean, or mean
    dense_seeds: Annotated[Count, Field(ge=2, le=1000)] = 8  #: seeds of the dense arm at first
    #: seeds to which the dense arm grows where it leaves a decision open
    max_dense_seeds: Annotated[Count, Field(ge=2, le=1000)] = 24
    max_seeds: Annotated[Count, Field(ge=4, le=1000)] = 12  #: fresh seeds for one decision
    futility: float = Field(0.5, ge=0, lt=1)  #: a seed below this fraction of the dense median stops; 0: none does
    futility_from: Fraction = 0.6  #: of the steps, from which a seed can be stopped
    archive: str | None = None  #: folder of finished runs, whose dense ones are not run again
    max_concurrent: Positive | None = None  #: trials at a time; None: as many as the CPUs allow
    processes: NonNegative | None = None  #: that step environments, with engine population. None: CPUs but one
    max_failures: NonNegative = 2  #: times that a trial is tried again
    budget: Budget = Budget()

    @field_validator("methods", mode="before")
    @classmethod
    def _of_names(cls, value: Any) -> Any:
        """Returns a mapping of dotted keys for each, of a list or of what stands between commas."""
        each = value.split(",") if isinstance(value, str) else value
        if not isinstance(each, list | tuple):
            return value
        return [{"method": one.strip()} if isinstance(one, str) else _flat(one) for one in each]

    @property
    def core(self) -> str:
        """The core of which a latency is."""
        return self.chip or CHIP


def _flat(method: Any) -> Any:
    return flatten(method) if isinstance(method, dict) else method


def parse_compress_section(tree: object, config: ExperimentConfig) -> CompressSection:
    """The section with all its values, for runs of the length of `config`'s. Raises BadInput."""
    section = validate(CompressSection, tree, "compress")
    if section.archive is not None:
        section = section.model_copy(
            update={"archive": str(Path(section.archive).absolute())}
        )  # for a resume elsewhere
    _check_order(section, "min_sparsity", "max_sparsity")
    _check_order(section, "reject", "accept")
    _check_budget(section, config.steps)
    _check_score(section, config)
    _check_objective(section)
    return section


def _check_order(section: CompressSection, lower: str, upper: str) -> None:
    low, high = getattr(section, lower), getattr(section, upper)
    if low >= high:
        raise BadInput(f"compress.{lower} is {low}, not below compress.{upper}, {high}: lower it.")


def _check_objective(section: CompressSection) -> None:
    if section.objective != "weights" and section.axis == "critic":
        raise BadInput(
            f"compress.objective is {section.objective}, which is of the policy, but compress.axis is critic, so that "
            "all policies are alike: choose axis tied or policy, or objective weights."
        )
    if section.chip is not None and section.objective != "latency":
        raise BadInput(
            f"compress.chip is {section.chip}, but compress.objective is {section.objective}: choose objective "
            "latency, or leave it out."
        )


def _check_score(section: CompressSection, config: ExperimentConfig) -> None:
    if section.score == DEPLOYED and not config.evaluation.deployed_episodes:
        raise BadInput(
            "compress.score is deployed, but evaluation.deployed_episodes is 0, so that no run has that score: raise "
            "it, such as to 30, or give compress.score final."
        )


def _check_budget(section: CompressSection, steps: int) -> None:
    """The dense arm and one sparse run should be within it."""
    runs, budget = section.dense_seeds + 1, section.budget
    least = {"runs": runs, "env_steps": runs * steps}
    for key, needed in least.items():
        value = getattr(budget, key)
        if value is not None and value < needed:
            shorter = " or steps" if key == "env_steps" else ""
            raise BadInput(
                f"compress.budget.{key} is {value}, but the dense arm of {section.dense_seeds} seeds and one sparse "
                f"run take {needed}: raise it, or lower compress.dense_seeds{shorter}."
            )
