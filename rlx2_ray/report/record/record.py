"""What is known of a sweep, a compression or a few plain runs: one typed value, from its writer to all its readers.

A campaign keeps it in `record.json` (`file`) while its trials keep files of their own. Report and dashboard are made of
the record with its trials, which is read from a directory (`directory`) or from an MLflow store (`store`), to the same
value but for where it came from. Names of fields are keys of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from rlx2_ray.config import Tree
from rlx2_ray.networks.policy_reader import parse_spaces
from rlx2_ray.report.record.trial import STATES, Series, Trial
from rlx2_ray.runs.parts import Above, Digest, Finite, Identifier, Name, Text
from rlx2_ray.runs.scores import DEPLOYED, FINAL, OTHER, ScoreName
from rlx2_ray.search.belief import Belief
from rlx2_ray.search.decision import Decision
from rlx2_ray.strict import Count
from rlx2_ray.types import Spaces

Event = Literal["begun", "ended", "failed"]
SPARSITIES = ("sparsity.policy", "sparsity.critic")

IfKnown = Field(exclude_if=lambda value: value is None)  # no null in the file
Unwritten = Field(exclude=True)
SpacesInFile = Annotated[
    Spaces,
    BeforeValidator(lambda value: Spaces(**parse_spaces(value)) if isinstance(value, Mapping) else value),
    PlainSerializer(Spaces.fields),
]
Time = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]  # seconds
Scores = Annotated[tuple[Finite, ...], Field(min_length=1)]
Interval = tuple[Finite, Finite]
Planned = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]


def _check_part(name: str) -> str:
    if "/" in name or name in (".", ".."):
        raise ValueError("no name within a directory")
    return name


def _check_protocol(protocol: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of those of its values that more is made of than text."""
    for key in ("threshold", "accept", "reject", "min_sparsity"):
        value = protocol.get(key, 0.5)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1000:
            raise ValueError(f"{key} is no number that it could be")
    if protocol.get("statistic", "iqm") not in ("iqm", "mean") or protocol.get("score", FINAL) not in OTHER:
        raise ValueError("no such statistic or score")
    methods = protocol.get("methods", [])
    if protocol.get("objective", "weights") not in ("weights", "bytes", "latency"):
        raise ValueError("no such objective")
    if not isinstance(methods, list | tuple) or not all(isinstance(each, dict) for each in methods):
        raise ValueError("methods are none")
    return protocol


def method_keys(methods: Sequence[Tree]) -> list[str]:
    """Returns the keys that set several methods apart; none of a single one."""
    return list(dict.fromkeys(("method", *(key for each in methods for key in each)))) if len(methods) > 1 else []


Part = Annotated[Name, AfterValidator(_check_part)]  # of a directory, and of nothing outside it
Protocol = Annotated[Mapping[str, Any], AfterValidator(_check_protocol)]


@dataclass(frozen=True)
class DenseSeed:
    """What one dense run came to."""

    seed: Count
    score: Finite
    curve: tuple[tuple[Count, Finite], ...]  # (env steps, mean return) of its evaluations
    cached: bool  # measured before this compression
    deployed: Annotated[Finite | None, IfKnown] = None  # None: never played, or by an earlier version
    file: Annotated[Name | None, IfKnown] = None  # of the archive that it is from

    @property
    def returns(self) -> Series:
        return Series(tuple(step for step, _ in self.curve), tuple(value for _, value in self.curve))

    def by(self, name: ScoreName) -> float | None:
        """Returns one of its two scores; None where it has none."""
        return self.deployed if name == DEPLOYED else self.score


@dataclass(frozen=True)
class DenseByOther:
    """What the same dense runs say by the score that does not decide."""

    score: ScoreName
    statistic: Finite
    interval: Interval | None  # None: of one seed


@dataclass(frozen=True)
class RatioByOther:
    """What the same runs of both arms say by the score that does not decide."""

    score: ScoreName
    scores: Scores  # of the sparse runs
    ratio: Finite
    interval: Interval
    probability: Finite


@dataclass(frozen=True)
class DenseArm:
    """What sparse runs are compared with, by the score that decides.

    `statistic` is in units of the score, as are `interval` and `random`.
    """

    seeds: tuple[DenseSeed, ...]
    statistic: Finite
    interval: Interval | None  # None: of one seed
    random: Finite | None  # score of uniformly random actions; None: not measured
    other: Annotated[DenseByOther | None, IfKnown] = None  # None: not all of its runs have the other score


@dataclass(frozen=True)
class PolicyCost:
    """What the policy of a network costs, by the objective of a compression."""

    objective: Literal["bytes", "latency"]
    value: Above  # bytes of its tables as C, or microseconds of an action
    dense: Above  # the same of the dense policy
    policies: Count  # finished ones that it is the mean of; 0: a forecast from the structure
    chip: Annotated[Name | None, IfKnown] = None  # latency: of which core

    @property
    def times(self) -> float:
        """How many times less than dense."""
        return self.dense / self.value

    @property
    def words(self) -> str:
        """Says such as "7,464 bytes as C, 37.3 times fewer than dense"."""
        origin = "" if self.policies else ", as forecast from its structure"
        if self.objective == "bytes":
            return f"{self.value:,.0f} bytes as C, {self.times:.3g} times fewer than dense{origin}"
        return f"{self.value:,.1f} µs an action on a {self.chip}, {self.times:.3g} times less than dense{origin}"


@dataclass(frozen=True)
class SizedDecision(Decision):
    """A decision of a search, the size of the network that it is about, and what the other score says."""

    method: Annotated[Name | None, IfKnown] = field(default=None, kw_only=True)  # of several; None: the only one

    seeds: Count
    size_ratio: Finite  # of the dense agent's weights
    compression: Finite  # times that it is smaller
    other: Annotated[RatioByOther | None, IfKnown] = field(default=None, kw_only=True)  # None: not all runs have it
    cost: Annotated[PolicyCost | None, IfKnown] = field(default=None, kw_only=True)  # None: the objective is weights


@dataclass(frozen=True)
class Ultimate(SizedDecision):
    """The best statement of a compression so far, and where the policy is that it gives out."""

    trial: Part | None  # the run that the policy is of
    policy: Annotated[Text | None, IfKnown] = None  # file
    model: Annotated[Text | None, IfKnown] = None  # URI in MLflow's registry
    model_version: Annotated[Text | None, IfKnown] = None


@dataclass(frozen=True)
class TrackedRun:
    """The MLflow run that stands for the whole, and where it is."""

    uri: Text
    experiment: Name
    run_id: Identifier | Literal[""] | None = None  # None: not begun, or plain runs, for which none stands; "": moved
    experiment_id: Annotated[str | None, Unwritten] = None


@dataclass(frozen=True)
class Record:
    """The record of one campaign, or of plain runs; what nobody has said yet is None or empty."""

    kind: Annotated[str, Field(pattern="^(compress|sweep|runs|task)$")]  # task: runs of one task in an archive
    name: Name
    state: Annotated[str, Field(pattern=f"^({'|'.join(STATES)})$")]
    trials: Annotated[tuple[Trial, ...], Unwritten] = ()
    started: Time | None = None  # since the epoch, as is `updated`
    updated: Time | None = None
    worked_s: Time | None = None  # by all processes that have worked on it
    versions: Mapping[Name, Name] = field(default_factory=dict)
    tracking: TrackedRun | None = None
    key: Name | None = None  # of the MLflow run, which finds it again
    messages: tuple[Text, ...] = ()
    config: Tree = field(default_factory=dict)  # the description that it follows
    spaces: SpacesInFile | None = None  # of the first environment
    spaces_of: Mapping[Name, SpacesInFile] = field(default_factory=dict)  # by key of the environment
    random_of: Mapping[Name, Finite] = field(default_factory=dict)  # by task, the score of random actions
    metric: Name = "score"
    mode: Annotated[str, Field(pattern="^(max|min)$")] = "max"
    planned: Mapping[Name, int | Planned] = field(default_factory=dict)  # runs, env_steps, hours
    stopped: tuple[Part, ...] = ()  # names of the trials that the scheduler ended
    history: tuple[tuple[Event, Part], ...] = ()  # (event, name of a trial), as a search asked and was told
    description_sha256: Digest | None = None  # of sweep.yaml; None: not known of a campaign of an earlier version
    # Of a sweep
    param_space: Tree = field(default_factory=dict)  # by name, which is a key or several with commas between them
    members: Mapping[Name, tuple[Name, ...]] = field(
        default_factory=dict
    )  # of a queue: name -> the keys that vary in it
    # Of a compression
    protocol: Protocol = field(default_factory=dict)
    dense: DenseArm | None = None
    decisions: tuple[SizedDecision, ...] = ()
    beliefs: tuple[Belief, ...] = ()
    ultimate: Ultimate | None = None
    runs: Count | None = None  # done, known ones included
    env_steps: Count | None = None
    source: Annotated[str, Unwritten] = ""  # the directory, or the experiment

    def with_trials(self, trials: Sequence[Trial]) -> Record:
        """Returns the record with these trials, those of the first member of a queue first."""
        places = {name: place for place, name in enumerate(self.members)}
        return replace(self, trials=tuple(sorted(trials, key=lambda trial: places.get(trial.member, 0))))

    @property
    def varied(self) -> list[str]:
        """The dotted keys that are known to vary; empty where nobody has said."""
        if self.kind == "compress":
            return [*SPARSITIES, *method_keys(self.methods)]
        spaces = self.members.values() or [name.split(", ") for name in self.param_space]
        return list(dict.fromkeys(key for keys in spaces for key in keys))

    @property
    def threshold(self) -> float:
        return float(self.protocol.get("threshold", 0.97))

    @property
    def score(self) -> ScoreName:
        """The score that decides, or that a sweep optimises; the other one is stated beside it."""
        return DEPLOYED if DEPLOYED in (self.protocol.get("score"), self.metric) else FINAL

    @property
    def methods(self) -> Sequence[Tree]:
        """What each of a compression's methods gives, by dotted key; empty where there is but that of the run."""
        methods: Sequence[Tree] = self.protocol.get("methods", ())
        return methods

    @property
    def objective(self) -> str:
        """What a compression makes small: "weights", "bytes" or "latency"."""
        return str(self.protocol.get("objective", "weights"))

    @property
    def axis(self) -> str:
        """What a compression varies: "tied", "policy", "critic" or "both"."""
        return str(self.protocol.get("axis", ""))
