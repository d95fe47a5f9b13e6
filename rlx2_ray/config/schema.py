"""Sections and keys of a configuration: types, bounds, and the defaults that depend on nothing else.

A comment that begins with `#:` says what a key is, here and in docs/configuration.md, which is made of them.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rlx2_ray.config.plain_values import plain_value
from rlx2_ray.strict import LARGEST
from rlx2_ray.topology_rules import facts_of


def parse_count(value: object) -> object:
    """Let counts be written as 1e6 or "1e6" (YAML reads the latter as text); anything else is pydantic's to judge."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
    if isinstance(value, float):
        if not (math.isfinite(value) and value == int(value)):
            raise ValueError("must be a whole number")
        return int(value)
    return value


Count = Annotated[int, BeforeValidator(parse_count)]
LARGEST_RATIO = 1_000
UNLIMITED_STEPS = 100_000  # of an evaluation's episode in an environment without a time limit: it ends, at least
LARGEST_WINDOW = 30  # evaluations: RLx2's protocol; that of every run until it followed from a run's length
Positive = Annotated[Count, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[Count, Field(ge=0, le=LARGEST)]
# What takes memory or time at once has a bound, since a configuration may be somebody else's: beyond it a value is a
# slip or a trap. Several together have theirs in checks.py.
Width = Annotated[Count, Field(gt=0, le=16_384)]  # of a layer
Batch = Annotated[Count, Field(gt=0, le=100_000)]  # at 256 units a layer, 100 MB for each of what an update keeps
Horizon = Annotated[Count, Field(gt=0, le=1_000)]  # rewards of every transition of a batch
Lanes = Annotated[Count, Field(gt=0, le=1_024)]  # environments of one process
Samples = Annotated[Count, Field(gt=0, le=1_000)]  # actions of one target
Batches = Annotated[Count, Field(gt=0, le=1_000)]  # at each of which the gradient of all weights is computed
Repeats = Annotated[Count, Field(gt=0, le=1_000)]  # of an action
Actors = Annotated[Count, Field(gt=0, le=1_024)]  # processes
MOST_EPISODES = 10_000  # of one evaluation
Episodes = Annotated[Count, Field(gt=0, le=MOST_EPISODES)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
RuleName = Annotated[str, Field(max_length=100, pattern=r"^[\w.-]+$")]
Place = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$")]
MOST_PLUGINS = 100
DEEPEST = 16  # hidden layers
Sparsity = Annotated[float, Field(ge=0, lt=1)]  # fraction of zeros
Fraction = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
# Keys that came after the first digests were given, and what everything was like before them.
LATER: dict[str, dict[str, Any]] = {
    "agent": {"beta_1": 0.9, "beta_2": 0.999, "grown_steps": "shared", "normalize_observations": False},
    "sparsity": {"fan_in": "free", "block": 1},
    "network": {"critic_norm": "none", "rescaled": "none"},
    "topology": {"growth_batches": 1, "hold": 0.0, "hold_episodes": 10},
    "target": {"rule": "delayed", "mean": 0.0, "samples": 1, "beta": 0.05},
    "policy": {"average": 0},
}


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: object, info: ValidationInfo) -> object:
        """Where a key is none, for pydantic would read true as 1."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true and false are no values of this key, write a number or a name")
        return value


class EnvConfig(Section):
    id: Name = "Hopper-v5"  #: any gymnasium id; "module:Id-v0" imports module first
    kwargs: dict[str, Any] = {}  #: keyword arguments of gymnasium.make
    action_repeat: Repeats = 1  #: the environment's steps that each action is taken for; rewards are summed
    #: the environment's steps after which an episode is truncated; none: its own limit
    time_limit: Positive | None = None

    @field_validator("kwargs", mode="before")
    @classmethod
    def _keep_plain_values(cls, value: object) -> object:
        return plain_value(value, "env.kwargs") if isinstance(value, dict) else value

    def fields(self) -> dict[str, Any]:
        """The values by name, for files; those of keys that came later only where they say something."""
        later = {"action_repeat": 1, "time_limit": None}
        return {key: value for key, value in self.model_dump().items() if key not in later or value != later[key]}

    @property
    def key(self) -> str:
        """The id, with a digest of all else that makes the environment where that is not as by default."""
        more = {name: value for name, value in self.fields().items() if name != "id" and value}
        if not more:
            return self.id
        return f"{self.id} {hashlib.sha256(json.dumps(more, sort_keys=True).encode()).hexdigest()[:16]}"


class SparsityConfig(Section):
    policy: Sparsity = 0.0  #: fraction of the policy's weights that are zero
    critic: Sparsity = 0.0  #: the same of the two critics together
    #: how a model's weights are shared out among its layers. narrow: dense layers of fewer units; units: as in these,
    #: of the units that live; epsilon: by `epsilon` alone; groups: by `topology.group` alone. The last two have their
    #: sparsity from there.
    distribution: Literal["erdos_renyi", "narrow", "units", "epsilon", "groups"] = "erdos_renyi"
    #: constant: every unit of a layer has as many weights, one at least, and keeps that number at events
    fan_in: Literal["free", "constant"] = "free"
    #: rule prune: weights on a diagonal of a block of so many outputs and inputs share one value, and go together; 1:
    #: none do
    block: Annotated[Count, Field(gt=0, le=256)] = 1
    #: of each hidden layer, under distribution epsilon; the last layer is dense
    epsilon: tuple[float, ...] = Field((7.0, 64.0), min_length=1)


class NetworkConfig(Section):
    #: units of each hidden layer, of policy and critics
    hidden: tuple[Width, ...] = Field((256, 256), min_length=1, max_length=DEEPEST)
    #: whose weights are rescaled over the active ones of each layer, w -> (w - mean) / deviation over the root of the
    #: active weights of a unit
    rescaled: Literal["none", "policy", "critic", "both"] = "none"
    #: layer: the sums of each hidden layer of the critics are brought to mean 0 and deviation 1 over its units
    critic_norm: Literal["none", "layer"] = "none"


class AgentConfig(Section):
    batch_size: Batch = 256  #: transitions of an update
    learning_rate: float = Field(3e-4, gt=0)  #: of Adam, for all networks
    weight_decay: float = Field(0.0, ge=0)  #: of Adam: this times the parameter is added to its gradient
    beta_1: Beta = 0.9  #: of Adam: what is kept of the mean of the gradient at a step
    beta_2: Beta = 0.999  #: of Adam: what is kept of the mean of the gradient's square at a step
    #: by whose steps Adam corrects the moments of a weight that has grown, which begin at 0. shared: those of its
    #: network, so that its first step is about 3 times the learning rate; own: those since it has grown
    grown_steps: Literal["shared", "own"] = "shared"
    discount: float = Field(0.99, ge=0, le=1)  #: of rewards, an env step
    tau: float = Field(0.005, gt=0, le=1)  #: Polyak coefficient of the targets
    warmup_steps: Positive  #: env steps of uniformly random actions before the first update
    updates_per_env_step: float = Field(1.0, gt=0, le=LARGEST_RATIO)  #: learner updates an env step after the warm-up
    policy_delay: Positive  #: critic updates per policy (and target) update
    #: normalise observations by the running mean and deviation of all so far, clipped to 10 deviations
    normalize_observations: StrictBool = False
    exploration_noise: float = Field(0.1, ge=0)  #: TD3: standard deviation, in units of the action bound
    target_policy_noise: float = Field(0.2, ge=0)  #: TD3: standard deviation, in units of the action bound
    target_noise_clip: float = Field(0.5, ge=0)  #: TD3: greatest target policy noise, in units of the action bound
    initial_temperature: float = Field(1.0, gt=0)  #: SAC: weight of the entropy at first; it is learned from then on
    #: SAC: how actions are collected. mean: without noise, as the released RLx2 code does
    exploration: Literal["sample", "mean"] = "sample"

    @property
    def betas(self) -> tuple[float, float]:
        return self.beta_1, self.beta_2


class PolicyConfig(Section):
    #: time constant, in env steps, of a moving average of the policy's weights, which is evaluated, kept, exported and
    #: deployed in place of the policy that is trained; 0: none
    average: NonNegative = 0


class TopologyConfig(Section):
    #: how the places of the weights change: dense (no sparsity at all), static, set, rigl, prune, structured, groups,
    #: or one of a plugin or a package
    rule: RuleName
    interval: Positive = 10_000  #: optimizer calls of a network between two events; learner updates with clock learner
    clock: Literal["optimizer", "learner"] = "optimizer"  #: what `interval` counts
    start_update: NonNegative = 0  #: learner updates before the first event
    end_update: NonNegative  #: learner updates after which the structure stays
    drop_fraction: Fraction = 0.5  #: of active weights, at the first event
    drop_schedule: Literal["cosine", "constant"] = "cosine"  #: cosine: annealed to 0 at end_update
    #: which weights go. signed: so many of the positive and so many of the negative
    drop: Literal["magnitude", "signed"] = "magnitude"
    #: the latest, since the event before, over whose gradients an event sums up what weights grow by
    growth_batches: Batches = 1
    #: rules prune and structured: the part of the best mean return of training so far, both above the first, that the
    #: latest mean must be for zeros to become more; 0: they do whatever it is
    hold: Fraction = 0.0
    hold_episodes: Batches = 10  #: episodes of which these means are
    group: tuple[Positive, Positive] = (2, 4)  #: (N, M) of rule groups: N weights live of every M inputs of a unit
    initial_mask: Literal["magnitude", "random"]  #: which weights of the dense initialization live at first
    target_mask: Literal["online", "own"] = "online"  #: own: targets keep as many of their own largest weights
    ticket: str | None = None  #: directory of a finished run whose last structure and first weights are used


class TargetConfig(Section):
    rule: RuleName = "delayed"  #: of how many steps targets are at which update: that, or one of a plugin or a package
    n_step: Horizon  #: rewards in a TD target, at most
    n_step_start: NonNegative  #: learner updates with a 1-step target before n_step is used
    expert: str | None = None  #: directory of a finished run whose critics give the values of TD targets
    mean: Fraction = 0.0  #: what targets take of the mean of the two critics in place of their minimum; 1: the mean
    #: TD3: actions around the target policy's at which a target takes its value: the mean over them, weighted by the
    #: softmax of target.beta times the value
    samples: Samples = 1
    beta: float = Field(0.05, ge=0)  #: TD3: sharpness of that softmax, 1 over a return; 0: the plain mean


class ReplayConfig(Section):
    capacity_rule: Literal["fixed", "dynamic", "dynamic_paper"]  #: RLx2's rules: as released, as in its paper
    min_capacity: Positive  #: transitions; a dynamic rule never drops from a buffer this small
    max_capacity: Positive  #: transitions that are kept at most
    policy_distance_threshold: float = Field(0.2, ge=0)  #: above it a dynamic rule drops; in the rule's own measure
    check_interval: Positive = 10_000  #: env steps between two looks of a dynamic rule


class RuntimeConfig(Section):
    kind: Literal["inline", "actors"] = "inline"  #: one process, or Ray actors
    envs_per_rollout: Lanes = 1  #: lanes stepped by one rollout (inline has one rollout)
    rollout_actors: Actors = 1  #: processes that play
    replay_shards: Actors = 1  #: processes that keep the replay
    shard_placement: Literal["near", "spread"] = "near"  #: to the learner's node, or over all nodes
    address: Name | None = None  #: of a running Ray cluster; none: a Ray of its own on this machine


class EvaluationConfig(Section):
    interval: Positive = 5_000  #: env steps between two evaluations
    early_interval: Positive  #: the same, before the evaluations that are scored; a multiple of interval
    episodes: Episodes = 10  #: noise-free episodes of an evaluation
    score_window: Positive  #: last evaluations, whose mean is the score
    #: episodes that the policy of the best evaluation plays again at the end; 0 for none
    deployed_episodes: Annotated[Count, Field(ge=0, le=MOST_EPISODES)] = 30
    #: steps after which an episode of any evaluation is cut; none: 100,000, where the environment has no limit
    max_episode_steps: Positive | None = None


class CheckpointConfig(Section):
    interval: Positive = 20_000  #: env steps between two checkpoints
    keep: Positive = 2  #: newest checkpoints that stay


class TrackingConfig(Section):
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()  #: that get the metrics beside MLflow


class Plugin(Section):
    """A person's own code: a file, or a folder that is a package."""

    path: Place  #: of the file, absolute
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None  #: of the file when the run began

    @model_validator(mode="before")
    @classmethod
    def _of_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class ExperimentConfig(Section):
    env: EnvConfig = EnvConfig()
    algo: Literal["td3", "sac"] = "td3"  #: the algorithm
    #: a name for values of a few keys, each of which can be set alone: dense, tiny, static, set, rigl, rlx2,
    #: rigl_qstar, ticket, prune, structured, group, ds, nm, or the topology rule of a plugin or a package
    method: RuleName = "rlx2"
    steps: Positive = 3_000_000  #: env steps of the run
    seed: NonNegative = 0  #: of everything that a run draws at random
    #: sparse: compiled kernels for live weights; torch: masked dense layers; population: the same of many runs at once
    engine: Literal["sparse", "torch", "population"]
    device: Name = "cpu"  #: of the engines torch and population: "cpu", "cuda", "cuda:1"
    sparsity: SparsityConfig = SparsityConfig()  # type: ignore[call-arg]
    network: NetworkConfig = NetworkConfig()  # type: ignore[call-arg]
    policy: PolicyConfig = PolicyConfig()
    agent: AgentConfig
    topology: TopologyConfig
    target: TargetConfig
    replay: ReplayConfig
    runtime: RuntimeConfig = RuntimeConfig()
    evaluation: EvaluationConfig
    checkpoint: CheckpointConfig = CheckpointConfig()
    tracking: TrackingConfig = TrackingConfig()
    plugins: tuple[Plugin, ...] = Field(
        (), max_length=MOST_PLUGINS
    )  #: own code, a path each, imported where a run works

    @property
    def is_dense(self) -> bool:
        """Whether it trains the whole networks that sparse ones are compared with; a tiny one is not whole."""
        return facts_of(self.topology.rule).is_dense and self.sparsity.distribution != "narrow"

    @property
    def planned_updates(self) -> int:
        """The learner updates of the whole run."""
        return updates_due(self.steps, self.agent.warmup_steps, self.agent.updates_per_env_step)

    def canonical(self) -> dict[str, Any]:
        """All values, JSON-ready, for digests: without keys that came later, where all is as it was before them.

        Nor with where it is logged, which changes nothing.
        """
        tree = self.model_dump(mode="json", exclude={"tracking"})
        tree["env"] = {key: tree["env"][key] for key in self.env.fields()}
        interval = self.evaluation.interval
        evaluation = {"early_interval": interval, "score_window": LARGEST_WINDOW, "max_episode_steps": None}
        for section, later in {**LATER, "evaluation": evaluation}.items():
            for key, before in later.items():
                if tree[section][key] == before:
                    del tree[section][key]
        if not tree["policy"]:
            del tree["policy"]
        # What the code is counts, not where it lies.
        plugins = sorted((PurePath(each.path).name, each.sha256 or "") for each in self.plugins)
        del tree["plugins"]
        return {**tree, "plugins": plugins} if plugins else tree

    @property
    def task(self) -> str:
        """What makes returns comparable: the environment, and where episodes are cut; a plain one is its id."""
        cut = self.evaluation.max_episode_steps
        return self.env.key if cut is None else f"{self.env.key}, cut after {cut}"

    @property
    def hash(self) -> str:
        """A digest of 16 hex digits, which changes with any value of the experiment."""
        canonical = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def updates_due(env_steps: int, warmup_steps: int, updates_per_env_step: float) -> int:
    """The learner updates that should have been done after `env_steps` env steps."""
    return max(0, math.floor((env_steps - warmup_steps) * updates_per_env_step))
