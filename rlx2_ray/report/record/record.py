"""What is known of a sweep, a compression or a few plain runs: one typed value, from its writer to all its readers.

A campaign keeps it in `record.json` (`file`) while its trials keep files of their own. Report and dashboard are made of
the record with its trials, which is read from a directory (`directory`) or from an MLflow store (`store`), to the same
value but for where it came from. Names of fields are keys of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field, PlainSerializer

from rlx2_ray.config import Tree
from rlx2_ray.report.record.trial import Series, Trial
from rlx2_ray.runs.scores import DEPLOYED, FINAL, ScoreName
from rlx2_ray.search.belief import Belief
from rlx2_ray.search.decision import Decision
from rlx2_ray.types import Spaces

EVENTS = ("begun", "ended", "failed")
SPARSITIES = ("sparsity.policy", "sparsity.critic")

IfKnown = Field(exclude_if=lambda value: value is None)  # no null in the file
Unwritten = Field(exclude=True)
SpacesInFile = Annotated[Spaces, PlainSerializer(Spaces.fields)]


@dataclass(frozen=True)
class DenseSeed:
    """What one dense run came to."""

    seed: int
    score: float
    curve: tuple[tuple[int, float], ...]  # (env steps, mean return) of its evaluations
    cached: bool  # measured before this compression
    deployed: Annotated[float | None, IfKnown] = None  # None: never played, or by an earlier version
    file: Annotated[str | None, IfKnown] = None  # of the archive that it is from

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
    statistic: float
    interval: tuple[float, float] | None  # None: of one seed


@dataclass(frozen=True)
class RatioByOther:
    """What the same runs of both arms say by the score that does not decide."""

    score: ScoreName
    scores: tuple[float, ...]  # of the sparse runs
    ratio: float
    interval: tuple[float, float]
    probability: float


@dataclass(frozen=True)
class DenseArm:
    """What sparse runs are compared with, by the score that decides.

    `statistic` is in units of the score, as are `interval` and `random`.
    """

    seeds: tuple[DenseSeed, ...]
    statistic: float
    interval: tuple[float, float] | None  # None: of one seed
    random: float | None  # score of uniformly random actions; None: not measured
    other: Annotated[DenseByOther | None, IfKnown] = None  # None: not all of its runs have the other score


@dataclass(frozen=True)
class SizedDecision(Decision):
    """A decision of a search, the size of the network that it is about, and what the other score says."""

    seeds: int
    size_ratio: float  # of the dense agent's weights
    compression: float  # times that it is smaller
    other: Annotated[RatioByOther | None, IfKnown] = field(default=None, kw_only=True)  # None: not all runs have it


@dataclass(frozen=True)
class Ultimate(SizedDecision):
    """The best statement of a compression so far, and where the policy is that it gives out."""

    trial: str | None  # the run that the policy is of
    policy: Annotated[str | None, IfKnown] = None  # file
    model: Annotated[str | None, IfKnown] = None  # URI in MLflow's registry
    model_version: Annotated[str | None, IfKnown] = None


@dataclass(frozen=True)
class TrackedRun:
    """The MLflow run that stands for the whole, and where it is."""

    uri: str
    experiment: str
    run_id: str | None = None  # None: not begun, or plain runs, for which none stands
    experiment_id: Annotated[str | None, Unwritten] = None


@dataclass(frozen=True)
class Record:
    """The record of one campaign, or of plain runs; what nobody has said yet is None or empty."""

    kind: str  # "compress" | "sweep" | "runs" | "task": runs of one task in an archive
    name: str
    state: str  # one of `trial.STATES`
    trials: Annotated[tuple[Trial, ...], Unwritten] = ()
    started: float | None = None  # seconds since the epoch, as is `updated`
    updated: float | None = None
    worked_s: float | None = None  # by all processes that have worked on it
    versions: Mapping[str, str] = field(default_factory=dict)
    tracking: TrackedRun | None = None
    key: str | None = None  # of the MLflow run, which finds it again
    messages: tuple[str, ...] = ()
    config: Tree = field(default_factory=dict)  # the description that it follows
    spaces: SpacesInFile | None = None  # of the first environment
    spaces_of: Mapping[str, SpacesInFile] = field(default_factory=dict)  # by environment
    random_of: Mapping[str, float] = field(default_factory=dict)  # by environment, the score of random actions
    metric: str = "score"
    mode: str = "max"
    planned: Mapping[str, int | float] = field(default_factory=dict)  # runs, env_steps, hours
    stopped: tuple[str, ...] = ()  # names of the trials that the scheduler ended
    history: tuple[tuple[str, str], ...] = ()  # (one of EVENTS, name of a trial), as a search asked and was told
    description_sha256: str | None = None  # of sweep.yaml; None: not known of a campaign of an earlier version
    # Of a sweep
    param_space: Tree = field(default_factory=dict)  # by name, which is a key or several with commas between them
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of a queue: name -> the keys that vary in it
    # Of a compression
    protocol: Mapping[str, Any] = field(default_factory=dict)
    dense: DenseArm | None = None
    decisions: tuple[SizedDecision, ...] = ()
    beliefs: tuple[Belief, ...] = ()
    ultimate: Ultimate | None = None
    runs: int | None = None  # done, known ones included
    env_steps: int | None = None
    source: Annotated[str, Unwritten] = ""  # the directory, or the experiment

    def with_trials(self, trials: Sequence[Trial]) -> Record:
        """Returns the record with these trials, those of the first member of a queue first."""
        places = {name: place for place, name in enumerate(self.members)}
        return replace(self, trials=tuple(sorted(trials, key=lambda trial: places.get(trial.member, 0))))

    @property
    def varied(self) -> list[str]:
        """The dotted keys that are known to vary; empty where nobody has said."""
        if self.kind == "compress":
            return list(SPARSITIES)
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
    def axis(self) -> str:
        """What a compression varies: "tied", "policy", "critic" or "both"."""
        return str(self.protocol.get("axis", ""))
