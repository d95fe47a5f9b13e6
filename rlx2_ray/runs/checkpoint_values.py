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
    late: Count | None = None  # it and the next two where pruning goes by the return
    latest: Count | None = None
    lived: Count | None = None

    @model_validator(mode="after")
    def _check(self) -> Optimizer:
        held = [each for each in (self.late, self.latest, self.lived) if each is not None]
        if len(held) not in (0, 3):
            raise ValueError("has some of late, latest and lived alone")
        if self.late is not None and self.latest is not None and not self.late <= self.latest <= self.calls:
            raise ValueError("is later than its calls")
        return self


class Temperature(Strict):
    """Of SAC."""

    log: Single
    step: NonNegative
    exp_avg: Single
    exp_avg_sq: Annotated[Single, Field(ge=0)]


class Returns(Strict):
    """Of episodes, where pruning goes by them."""

    recent: list[Single]
    first: Single | None
    best: Single | None

    @model_validator(mode="after")
    def _check(self) -> Returns:
        if (self.first is None) != (self.best is None):
            raise ValueError("has one of first and best alone")
        if self.first is not None and self.best is not None and self.first > self.best:
            raise ValueError("has a first mean above the best")
        return self

    def check_number(self, episodes: int) -> None:
        """Raises ValueError where they are not those that means of so many episodes are taken of."""
        if len(self.recent) > episodes or (len(self.recent) == episodes) != (self.best is not None):
            raise ValueError(f"learner.returns has {len(self.recent)} recent ones for means of {episodes}")


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
    returns: Returns | None = None

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
    _check_hold(config, values.learner)
    lanes = config.runtime.envs_per_rollout
    if isinstance(values, InlineValues) and len(values.episodes) != lanes:
        raise ValueError(f"episodes are of {len(values.episodes)} environments and not of {lanes}")
    assert isinstance(content, dict)
    return content


def _check_hold(config: ExperimentConfig, learner: Learner) -> None:
    """Raises ValueError where it has not what pruning that goes by the return needs, or has it without need."""
    late = (learner.policy_optimizer.late, learner.critic_optimizer.late)
    if any((each is None) == (config.topology.hold > 0) for each in (learner.returns, *late)):
        raise ValueError("learner.returns and late do not fit topology.hold")
    if learner.returns is not None:
        learner.returns.check_number(config.topology.hold_episodes)
