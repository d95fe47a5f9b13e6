"""The one description of an experiment: typed, frozen, the same object inline, on actors and in a trial.

A user writes only what differs from the defaults. `resolve` fills in the rest, from the most general to the most
particular: defaults of the fields, of the algorithm, of the method (methods.py), the user's own keys; and last the
values that follow from others (sparsities, warm-up, the topology schedule, start of the n-step target, replay
capacities).
A resolved configuration names every value, so it reads back to itself and to the same hash.

The constants are those of RLx2 (arXiv 2205.15043) and, beneath it, of TD3 (arXiv 1802.09477) and SAC (1812.05905).
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from rlx2_ray.methods import EVENTS, METHODS, NEEDS
from rlx2_ray.types import BadInput


def _parse_count(value: object) -> object:
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


Count = Annotated[int, BeforeValidator(_parse_count)]
LARGEST = 10**15  # beyond it a count is a slip, and sums of counts would leave 64 bits
LARGEST_RATIO = 1_000
Positive = Annotated[Count, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[Count, Field(ge=0, le=LARGEST)]
Sparsity = Annotated[float, Field(ge=0, lt=1)]  # fraction of zeros
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: object) -> object:
        """No key is one, and pydantic would read true as 1."""
        if isinstance(value, bool):
            raise ValueError("true and false are no values of any key, write a number or a name")
        return value


class EnvConfig(Section):
    id: str = Field("Hopper-v5", min_length=1)  # any gymnasium id; "module:Id-v0" imports module first
    kwargs: dict[str, Any] = {}  # keyword arguments of gymnasium.make


class SparsityConfig(Section):
    policy: Sparsity = 0.0
    critic: Sparsity = 0.0  # of the two critics together
    # How a model's weights are shared out among its layers (sparse/plan.py). narrow: dense layers of fewer units;
    # epsilon: by `epsilon` alone; groups: by `topology.group` alone. The last two have their sparsity from there.
    distribution: Literal["erdos_renyi", "narrow", "epsilon", "groups"] = "erdos_renyi"
    epsilon: tuple[float, ...] = Field((7.0, 64.0), min_length=1)  # of each hidden layer; the last layer is dense


class NetworkConfig(Section):
    hidden: tuple[Positive, ...] = Field((256, 256), min_length=1)  # width of each hidden layer, policy and critics


class AgentConfig(Section):
    batch_size: Positive = 256
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)  # of Adam: this times the parameter is added to its gradient
    discount: float = Field(0.99, ge=0, le=1)
    tau: float = Field(0.005, gt=0, le=1)  # Polyak coefficient of the targets
    warmup_steps: Positive  # env steps of uniformly random actions before the first update
    updates_per_env_step: float = Field(1.0, gt=0, le=LARGEST_RATIO)
    policy_delay: Positive  # critic updates per policy (and target) update
    # TD3 only; noises in units of the action bound
    exploration_noise: float = Field(0.1, ge=0)
    target_policy_noise: float = Field(0.2, ge=0)
    target_noise_clip: float = Field(0.5, ge=0)
    # SAC only
    initial_temperature: float = Field(1.0, gt=0)
    exploration: Literal["sample", "mean"] = "sample"  # "mean": the released RLx2 code collects without noise


class TopologyConfig(Section):
    rule: Literal["dense", "static", "set", "rigl", "prune", "groups"]  # dense: no sparsity at all
    interval: Positive = 10_000  # optimizer calls of a network between two events; learner updates with clock learner
    clock: Literal["optimizer", "learner"] = "optimizer"
    start_update: NonNegative = 0  # learner updates before the first event
    end_update: NonNegative  # learner updates after which the structure stays
    drop_fraction: Fraction = 0.5  # of active weights, at the first event
    drop_schedule: Literal["cosine", "constant"] = "cosine"  # cosine: annealed to 0 at end_update
    drop: Literal["magnitude", "signed"] = "magnitude"  # signed: so many of the positive and so many of the negative
    group: tuple[Positive, Positive] = (2, 4)  # (N, M) of rule groups: N weights live of every M inputs of a unit
    initial_mask: Literal["magnitude", "random"]
    target_mask: Literal["online", "own"] = "online"  # own: targets keep as many of their own largest weights
    ticket: str | None = None  # directory of a finished run whose last structure and first weights are used


class TargetConfig(Section):
    n_step: Positive
    n_step_start: NonNegative  # learner updates with a 1-step target before n_step is used
    expert: str | None = None  # directory of a finished run whose critics give the values of TD targets


class ReplayConfig(Section):
    capacity_rule: Literal["fixed", "dynamic", "dynamic_paper"]  # RLx2's: as released, as in its paper
    min_capacity: Positive  # transitions; a dynamic rule never drops from a buffer this small
    max_capacity: Positive  # transitions
    policy_distance_threshold: float = Field(0.2, ge=0)  # in the measure of the rule: docs/method.md
    check_interval: Positive = 10_000  # env steps


class RuntimeConfig(Section):
    kind: Literal["inline", "actors"] = "inline"
    envs_per_rollout: Positive = 1  # lanes stepped by one rollout (inline has one rollout)
    rollout_actors: Positive = 1
    replay_shards: Positive = 1
    shard_placement: Literal["near", "spread"] = "near"  # to the learner's node, or over all nodes
    address: str | None = None  # of a running Ray cluster; none: a Ray of its own on this machine


class EvaluationConfig(Section):
    interval: Positive = 5_000  # env steps
    episodes: Positive = 10


class CheckpointConfig(Section):
    interval: Positive = 20_000  # env steps
    keep: Positive = 2


class ExperimentConfig(Section):
    env: EnvConfig = EnvConfig()  # type: ignore[call-arg]
    algo: Literal["td3", "sac"] = "td3"
    method: Literal["dense", "tiny", "static", "set", "rigl", "rlx2", "rigl_qstar", "ticket", "prune", "ds", "nm"] = (
        "rlx2"
    )
    steps: Positive = 3_000_000  # env steps
    seed: NonNegative = 0
    engine: Literal["sparse", "torch"]
    device: str = "cpu"  # torch engine: "cpu", "cuda", "cuda:1"
    sparsity: SparsityConfig = SparsityConfig()  # type: ignore[call-arg]
    network: NetworkConfig = NetworkConfig()  # type: ignore[call-arg]
    agent: AgentConfig
    topology: TopologyConfig
    target: TargetConfig
    replay: ReplayConfig
    runtime: RuntimeConfig = RuntimeConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()

    @property
    def is_dense(self) -> bool:
        """Whether it trains the whole networks that sparse ones are compared with; a tiny one is not whole."""
        return self.topology.rule == "dense" and self.sparsity.distribution != "narrow"

    @property
    def planned_updates(self) -> int:
        """Learner updates of the whole run."""
        return updates_due(self.steps, self.agent.warmup_steps, self.agent.updates_per_env_step)

    @property
    def hash(self) -> str:
        """16 hex digits that change with any value of the experiment."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


Tree = dict[str, Any]

ALGORITHMS: dict[str, Tree] = {
    "td3": {"agent": {"policy_delay": 2}},
    "sac": {"agent": {"policy_delay": 1}},
}


def updates_due(env_steps: int, warmup_steps: int, updates_per_env_step: float) -> int:
    """Learner updates that should have been done after `env_steps` env steps."""
    return max(0, math.floor((env_steps - warmup_steps) * updates_per_env_step))


def resolve(given: Mapping[str, Any]) -> ExperimentConfig:
    """The full configuration from the keys that the user gave (nested mappings). Raises BadInput."""
    algo = _choice(given, "algo", "td3", ALGORITHMS)
    method = _choice(given, "method", "rlx2", METHODS)
    tree = merge(merge(ALGORITHMS[algo], METHODS[method]), given)
    config = validate(ExperimentConfig, merge(_consequences(tree), tree))
    _check_together(config)
    return config


def dense_counterpart(config: ExperimentConfig) -> ExperimentConfig:
    """The same task, algorithm and protocol with method dense: what a sparse run is compared with."""
    kept = (
        "env",
        "algo",
        "steps",
        "seed",
        "engine",
        "device",
        "network",
        "agent",
        "runtime",
        "evaluation",
        "checkpoint",
    )
    tree = config.model_dump()
    return resolve({"method": "dense"} | {key: tree[key] for key in kept})


def load(path: Path) -> Tree:
    """The mapping in a YAML file. Raises BadInput."""
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"There is no configuration file {path}: check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The configuration file {path} cannot be read ({error}): check the path.") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" near line {where.line + 1}" if where else ""
        raise BadInput(f"{path} is not valid YAML{line}: correct the file.") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise BadInput(f"{path} holds {tree!r}, not keys and values: write one 'key: value' a line.")
    return tree


def save(config: ExperimentConfig, path: Path) -> None:
    """Write every value as YAML; `resolve(load(path))` gives the same configuration."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def parse_assignments(assignments: Iterable[str]) -> Tree:
    """The mapping of `a.b=value` texts, values read as YAML. Raises BadInput."""
    tree: Tree = {}
    for text in assignments:
        key, separator, value = text.partition("=")
        if not separator or not all(key.split(".")):
            raise BadInput(f"--set {text!r} is not KEY=VALUE: write for example --set agent.discount=0.98.")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            raise BadInput(f"--set {key}: the value {value!r} is not valid YAML: quote it.") from None
        tree = merge(tree, nest(key, parsed))
    return tree


def nest(dotted_key: str, value: Any) -> Tree:
    """`nest("a.b", 1)` is `{"a": {"b": 1}}`."""
    for part in reversed(dotted_key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Nested mappings joined; where both have a value, `above` wins."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def leaves(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys that a nested mapping gives values to."""
    keys = []
    for key, value in tree.items():
        keys += leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"]
    return keys


def _choice(given: Mapping[str, Any], key: str, default: str, table: Mapping[str, Tree]) -> str:
    value = given.get(key, default)
    if not isinstance(value, str) or value not in table:
        raise BadInput(f"{key} is {value!r}: choose one of {', '.join(table)}.")
    return value


def _consequences(tree: Tree) -> Tree:
    """Defaults that follow from other values. Only well-formed values are used; the rest fails validation later."""
    steps = _count_at(tree, "steps", 3_000_000)
    warmup = _count_at(tree, "agent.warmup_steps", max(1, min(25_000, steps // 10)))
    ratio = _ratio_at(tree, "agent.updates_per_env_step", 1.0)
    rule = _at(tree, "topology.rule", "")
    planned = updates_due(steps, warmup, ratio)
    first_event, last_event = EVENTS.get(tree.get("method", ""), (0.0, 1.0))
    policy_sparsity, critic_sparsity = _default_sparsities(tree)
    large = tree.get("algo") == "sac" and _at(tree, "replay.capacity_rule", "") in ("dynamic", "dynamic_paper")
    maximum = _count_at(tree, "replay.max_capacity", 3_000_000 if large else 1_000_000)
    return {
        "engine": "sparse" if _at(tree, "device", "cpu") == "cpu" else "torch",
        "sparsity": {"policy": policy_sparsity, "critic": critic_sparsity},
        "agent": {"warmup_steps": warmup},
        "topology": {
            "start_update": int(first_event * planned),
            "end_update": int(last_event * planned),
            "initial_mask": "random" if rule == "static" else "magnitude",
        },
        "target": {"n_step_start": int(steps * ratio) // 10},
        "replay": {"max_capacity": maximum, "min_capacity": min(200_000 if large else 100_000, maximum)},
    }


def _default_sparsities(tree: Tree) -> tuple[float, float]:
    """Of policy and critics."""
    distribution = _at(tree, "sparsity.distribution", "erdos_renyi")
    if distribution == "epsilon" or (_at(tree, "topology.rule", "") == "dense" and distribution != "narrow"):
        return 0.0, 0.0
    group = _at(tree, "topology.group", (2, 4))
    if distribution == "groups" and isinstance(group, list | tuple) and len(group) == 2:
        lives, inputs = (_count_at({"count": each}, "count", 1) for each in group)
        sparsity = max(0.0, 1 - lives / inputs)
        return sparsity, sparsity
    return 0.9, 0.8


def _at(tree: Mapping[str, Any], dotted_key: str, default: Any) -> Any:
    value: Any = tree
    for part in dotted_key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return value


def _count_at(tree: Mapping[str, Any], dotted_key: str, default: int) -> int:
    try:
        value = _parse_count(_at(tree, dotted_key, default))
    except ValueError:
        return default
    return value if isinstance(value, int) and 0 < value <= LARGEST else default


def _ratio_at(tree: Mapping[str, Any], dotted_key: str, default: float) -> float:
    try:
        value = float(_at(tree, dotted_key, default))
    except (TypeError, ValueError):
        return default
    return value if 0 < value <= LARGEST_RATIO else default


Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], tree: object, section: str = "") -> Model:
    """The model from its keys; `section` is where a file has them. Raises BadInput."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise BadInput(_sentence(error, model, section)) from None


def _sentence(error: ValidationError, model: type[BaseModel], section: str) -> str:
    """The first problem in one sentence: unknown keys first, since a mistyped key explains what follows from it."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    key = ".".join(str(part) for part in ([section] if section else []) + list(problem["loc"]))
    known = all_keys(model, f"{section}." if section else "")
    if problem["type"] == "extra_forbidden":
        return unknown_key(key, known)
    if problem["type"] == "model_type":
        return f"{key} is {problem['input']!r}: it should hold keys and values, such as {_example_key(key, known)}."
    message = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    return f"{key} is {problem['input']!r}: {message}."


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence about a key that is none of the known ones; the section that it is in is one."""
    section, _, name = key.rpartition(".")
    prefix = f"{section}." if section else ""
    names = sorted({other.removeprefix(prefix).partition(".")[0] for other in known if other.startswith(prefix)})
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"There is no key {key}: did you mean {prefix}{near[0]}?"
    hint = f"{section} has {', '.join(names)}." if section else "see config.yaml of any run for all keys."
    return f"There is no key {key}: {hint}"


def all_keys(model: type[BaseModel] = ExperimentConfig, prefix: str = "") -> list[str]:
    """Every dotted key of the configuration."""
    keys = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += all_keys(kind, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def _example_key(section: str, known: Iterable[str]) -> str:
    return next(key for key in known if key.startswith(f"{section}."))


def _check_together(config: ExperimentConfig) -> None:
    """Rules that need more than one key."""
    _check_needs(config)
    _check_sparsity(config)
    _check_topology(config)
    replay, runtime = config.replay, config.runtime
    if config.agent.warmup_steps >= config.steps:
        raise BadInput(
            f"agent.warmup_steps is {config.agent.warmup_steps} but steps is {config.steps}, so nothing would be "
            "learned: lower agent.warmup_steps or raise steps."
        )
    if replay.min_capacity > replay.max_capacity:
        raise BadInput(
            f"replay.min_capacity is {replay.min_capacity}, above replay.max_capacity, {replay.max_capacity}: lower it."
        )
    lanes = runtime.rollout_actors * runtime.envs_per_rollout
    if runtime.kind == "actors" and runtime.replay_shards > lanes:
        raise BadInput(
            f"runtime.replay_shards is {runtime.replay_shards} but there are {lanes} environments, and each lives "
            "on one shard: lower it or raise runtime.rollout_actors."
        )


def _check_needs(config: ExperimentConfig) -> None:
    key, meaning = NEEDS.get(config.method, (None, None))
    if key and _at(config.model_dump(), key, None) is None:
        raise BadInput(f"method {config.method} needs {key}, {meaning}: give its directory.")


def _check_sparsity(config: ExperimentConfig) -> None:
    sparsity, topology = config.sparsity, config.topology
    key = "sparsity.policy" if sparsity.policy else "sparsity.critic"
    value = sparsity.policy or sparsity.critic
    if sparsity.distribution == "narrow":
        if topology.rule != "dense":
            raise BadInput(
                f"topology.rule is {topology.rule} but sparsity.distribution narrow makes dense layers of fewer units: "
                "leave one of them out."
            )
        return
    if topology.rule == "dense" and value:
        raise BadInput(
            f"{key} is {value} but method {config.method} has topology.rule dense: "
            "choose another or leave the sparsity out."
        )
    if sparsity.distribution == "epsilon":
        if value:
            raise BadInput(f"{key} is {value} but method {config.method} has it from sparsity.epsilon: leave it out.")
        if len(sparsity.epsilon) != len(config.network.hidden):
            raise BadInput(
                f"sparsity.epsilon is {list(sparsity.epsilon)} but network.hidden has {len(config.network.hidden)} "
                "layers: give one number for each."
            )


def _check_topology(config: ExperimentConfig) -> None:
    topology, sparsity = config.topology, config.sparsity
    lives, inputs = topology.group
    if lives > inputs:
        raise BadInput(f"topology.group is {[lives, inputs]}, more weights than inputs: give [N, M] with N <= M.")
    if (topology.rule == "groups") != (sparsity.distribution == "groups"):
        raise BadInput(
            f"topology.rule is {topology.rule} but sparsity.distribution is {sparsity.distribution}: groups is for "
            "both or for none; method nm sets both."
        )
    if sparsity.distribution == "groups":
        for name, value in (("policy", sparsity.policy), ("critic", sparsity.critic)):
            if not math.isclose(value, 1 - lives / inputs):
                raise BadInput(
                    f"sparsity.{name} is {value} but topology.group {[lives, inputs]} makes it {1 - lives / inputs:g}: "
                    "leave it out."
                )
    if topology.ticket is not None and topology.rule != "static":
        raise BadInput(f"topology.ticket is given but topology.rule is {topology.rule}: a ticket's rule is static.")
    if topology.start_update > topology.end_update:
        raise BadInput(
            f"topology.start_update is {topology.start_update}, after topology.end_update, {topology.end_update}: "
            "lower it."
        )
