"""The values of a checkpoint, typed: everything of a run that is no array, as its values.json has it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.seeding import restore_generator
from rlx2_ray.strict import Count, Strict, first_problem

BEST = "best_policy"  # key of the values, and prefix of the arrays, of the best policy so far
OWED = "owed_policy"  # the same of one whose evaluation was being played while the run went on

Positive = Annotated[Count, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Single = Annotated[float, Field(ge=-3.4e38, le=3.4e38)]  # what float32 holds
Measured = Annotated[float, Field(allow_inf_nan=True)]  # one that is not finite ends the run when it is recorded
Generator = Annotated[dict[str, Any], AfterValidator(lambda state: restore_generator(state) and state)]


class Optimizer(Strict):
    calls: Count
    steps: Count
    overlap: Fraction
    layer_overlaps: list[Fraction] = []  # checkpoints of 0.1.0 have none


class Temperature(Strict):
    """Of SAC."""

    log: Single
    step: NonNegative
    exp_avg: Single
    exp_avg_sq: Annotated[Single, Field(ge=0)]


class Learner(Strict):
    learner_steps: Count
    noise: Generator
    topology: Generator
    metric_sums: dict[str, Measured]
    metric_counts: dict[str, Positive]
    policy_optimizer: Optimizer
    critic_optimizer: Optimizer
    temperature: Temperature | None = None
    observed: Count | None = None  # observations, where they are normalised

    @model_validator(mode="after")
    def _check(self) -> Learner:
        if self.metric_sums.keys() != self.metric_counts.keys():
            raise ValueError("has sums and counts of different metrics")
        for optimizer in (self.policy_optimizer, self.critic_optimizer):
            if not optimizer.steps <= optimizer.calls <= self.learner_steps:
                raise ValueError("has counters that contradict each other")
        return self


class Best(Strict):
    env_steps: Count
    learner_steps: Count
    return_mean: float
    return_std: NonNegative


class Point(Best):
    """One evaluation, with metrics of any name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float]


class Owed(Strict):
    """An evaluation that is still to be played: of which moment, and what is known of it."""

    env_steps: Count
    learner_steps: Count
    metrics: dict[str, float]


class Values(Strict):
    """Of every run; those that may be missing came later."""

    env_steps: Count
    wall_s: NonNegative
    training_s: NonNegative
    learner: Learner
    policy_distance: NonNegative | None
    checked: Count = 0
    points: list[Point] = []
    best_policy: Best | None = None

    @model_validator(mode="after")
    def _check(self) -> Values:
        # In whatever order: on actors a lost evaluation is made again, maybe after the next one.
        if any(point.env_steps > self.env_steps for point in self.points):
            raise ValueError("has points of later env steps")
        return self


class InlineValues(Values):
    episodes: list[Count]
    exploration: Generator
    owed_policy: Owed | None = None

    @model_validator(mode="after")
    def _check_owed(self) -> InlineValues:
        owed = self.owed_policy
        if owed is not None and (
            not max((point.env_steps for point in self.points), default=0) < owed.env_steps <= self.env_steps
            or owed.learner_steps > self.learner.learner_steps
        ):
            raise ValueError("owes the evaluation of another moment")
        return self


class ActorsValues(Values):
    time: Count
    generation: Count
    faults: dict[str, Count]
    metrics: dict[str, Annotated[list[Measured], Field(min_length=1)]]


KINDS: dict[Literal["inline", "actors"], type[InlineValues] | type[ActorsValues]] = {
    "inline": InlineValues,
    "actors": ActorsValues,
}


def check_values(config: ExperimentConfig, env_steps: int, content: object) -> dict[str, Any]:
    """The values of a checkpoint of a run after `env_steps`. Raises ValueError for anything else."""
    try:
        values = KINDS[config.runtime.kind].model_validate(content)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    if values.env_steps != env_steps:
        raise ValueError(f"env_steps is not the {env_steps} of its folder")
    if (values.learner.temperature is None) != (config.algo != "sac"):
        raise ValueError(f"learner.temperature does not fit {config.algo}")
    if (values.learner.observed is None) == config.agent.normalize_observations:
        raise ValueError("learner.observed does not fit agent.normalize_observations")
    lanes = config.runtime.envs_per_rollout
    if isinstance(values, InlineValues) and len(values.episodes) != lanes:
        raise ValueError(f"episodes are of {len(values.episodes)} environments and not of {lanes}")
    assert isinstance(content, dict)
    return content
