"""What is known of a sweep, a compression or a few plain runs: one typed value that report and dashboard are made of.

It is read from a directory (`directory`) or from an MLflow store (`store`), to the same value but for
where it came from. `record.json` holds all that is not in the trials.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rlx2_ray.config import ExperimentConfig, Tree
from rlx2_ray.runs.score import score
from rlx2_ray.types import BadInput

RETURN = "return_mean"
RECENT = 5  # evaluations that say where an unfinished run stands
STATES = ("running", "finished", "interrupted", "failed")
SILENCE_S = 120.0  # without a new record, after which its writer is taken for dead


class Series(NamedTuple):
    """A metric over time, by env step; NaN where it was not finite."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def latest(self) -> float:
        return self.values[-1] if self.values else math.nan


EMPTY = Series((), ())


class TrialRecord(NamedTuple):
    """One run. `changes` are its values of the swept keys; `series` go by name: return_mean, replay/size, ..."""

    name: str
    state: str  # one of STATES
    purpose: str  # "trial" | "dense" | "search" | "confirm" | "arm": of an archive, and not its dense arm
    config: ExperimentConfig
    changes: Tree  # dotted key -> value, the seed left out
    series: Mapping[str, Series]
    score: float | None  # mean of the last 30 evaluations; None: it is not done, nor was it stopped early
    ended_early: bool
    run_id: str | None = None  # MLflow's
    member: str = ""  # of a queue, that it is a trial of
    result: Tree = {}  # of an archived run: its result.json

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def policy_sparsity(self) -> float:
        return self.config.sparsity.policy

    @property
    def critic_sparsity(self) -> float:
        return self.config.sparsity.critic

    @property
    def returns(self) -> Series:
        return self.series.get(RETURN, EMPTY)

    @property
    def env_steps(self) -> int:
        """Of the latest evaluation."""
        return self.returns.steps[-1] if self.returns.steps else 0

    @property
    def planned_steps(self) -> int:
        return self.config.steps

    @property
    def progress(self) -> float:
        """Fraction of its work that is done, in [0, 1]."""
        return 1.0 if self.state == "finished" else min(1.0, self.env_steps / self.planned_steps)

    @property
    def score_so_far(self) -> float:
        """The score; of an unfinished run the mean of its last evaluations, NaN where there is none."""
        return score(self.returns.values[-RECENT:]) if self.score is None else self.score


class DenseSeed(NamedTuple):
    seed: int
    score: float
    returns: Series
    cached: bool  # measured by an earlier search


class DenseArm(NamedTuple):
    """What sparse runs are compared with. `statistic` is in units of the score, as are `interval` and `random`."""

    seeds: tuple[DenseSeed, ...]
    statistic: float
    interval: tuple[float, float] | None
    random: float | None  # score of uniformly random actions; None: not measured


class Decision(NamedTuple):
    """One verdict. `ratio` is R = (sparse - random) / (dense - random), `probability` that of R >= the threshold."""

    policy_sparsity: float
    critic_sparsity: float
    size_ratio: float
    compression: float
    seeds: int
    scores: tuple[float, ...]
    ratio: float
    interval: tuple[float, float]
    probability: float
    verdict: str  # "accept" | "reject" | "inconclusive"


class Belief(NamedTuple):
    """What a one-dimensional search believed after `runs` runs: probabilities of where the threshold lies."""

    runs: int
    levels: tuple[float, ...]  # sparsities
    mass: tuple[float, ...]  # sums to 1


class Sizes(NamedTuple):
    """Of the flattened observation and action: all that layer shapes need beside the configuration."""

    observation: int
    action: int


class Tracking(NamedTuple):
    uri: str
    experiment: str
    run_id: str | None = None  # of the parent run
    experiment_id: str | None = None


class Record(NamedTuple):
    kind: str  # "compress" | "sweep" | "runs" | "task": runs of one task in an archive
    name: str
    state: str  # one of STATES
    trials: tuple[TrialRecord, ...]
    started: float | None = None  # seconds since the epoch, as is `updated`
    updated: float | None = None
    param_space: Tree = {}
    members: Mapping[str, Sequence[str]] = {}  # of a queue: name -> the keys that vary in it
    metric: str = "score"
    mode: str = "max"
    versions: Mapping[str, str] = {}
    tracking: Tracking | None = None
    planned: Mapping[str, float] = {}  # runs, env_steps, hours
    protocol: Mapping[str, Any] = {}
    dense: DenseArm | None = None
    decisions: tuple[Decision, ...] = ()
    beliefs: tuple[Belief, ...] = ()
    ultimate: Decision | None = None
    ultimate_trial: str | None = None
    messages: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()  # names of the trials that the scheduler ended
    sizes: Sizes | None = None  # of the first environment
    sizes_of: Mapping[str, Sizes] = {}  # by environment, where there are several
    source: str = ""  # the directory, or the experiment

    def with_trials(self, trials: Sequence[TrialRecord]) -> Record:
        """Those of the first member of a queue first."""
        places = {name: place for place, name in enumerate(self.members)}
        return self._replace(trials=tuple(sorted(trials, key=lambda trial: places.get(trial.member, 0))))

    @property
    def threshold(self) -> float:
        return float(self.protocol.get("threshold", 0.97))

    @property
    def axis(self) -> str:
        """What a compression varies: "tied", "policy", "critic" or "both"."""
        return str(self.protocol.get("axis", ""))


def parse_record(text: str | bytes, where: str) -> Record:
    """The record without its trials. Raises BadInput where the text is not as a sweep writes it."""
    try:
        content = json.loads(text)
        return Record(
            kind=str(content["kind"]),
            name=str(content["name"]),
            state=_state(str(content["state"]), content.get("updated")),
            trials=(),
            started=content.get("started"),
            updated=content.get("updated"),
            param_space=content.get("param_space") or {},
            members={str(name): tuple(map(str, keys)) for name, keys in (content.get("members") or {}).items()},
            metric=content.get("metric") or "score",
            mode=content.get("mode") or "max",
            versions=content.get("versions") or {},
            tracking=_tracking(content.get("tracking")),
            planned=_numbers(content.get("planned") or {}),
            protocol=content.get("protocol") or {},
            dense=_dense(content.get("dense")),
            decisions=tuple(map(_decision, content.get("decisions") or ())),
            beliefs=tuple(_belief(each) for each in content.get("beliefs") or () if "levels" in each),
            ultimate=_decision(content["ultimate"]) if content.get("ultimate") else None,
            ultimate_trial=(content.get("ultimate") or {}).get("trial"),
            messages=tuple(map(str, content.get("messages") or ())),
            stopped=tuple(map(str, content.get("stopped") or ())),
            sizes=_sizes(content.get("spaces")),
            sizes_of={env: _sizes_in(each) for env, each in (content.get("spaces_of") or {}).items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        problem = f"no {error.args[0]!r}" if isinstance(error, KeyError) else str(error)
        raise BadInput(f"{where} is damaged or of another version ({problem}): restore it from a copy.") from None


def _state(written: str, updated: float | None) -> str:
    """A writer that was killed could not say so."""
    is_silent = updated is not None and time.time() - updated > SILENCE_S
    return "interrupted" if written == "running" and is_silent else written


def _tracking(content: Mapping[str, Any] | None) -> Tracking | None:
    return Tracking(content["uri"], content["experiment"], content.get("run_id")) if content else None


def _numbers(content: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in content.items() if isinstance(value, int | float)}


def _dense(content: Mapping[str, Any] | None) -> DenseArm | None:
    if not content or content.get("statistic") is None:
        return None
    seeds = tuple(
        DenseSeed(int(seed["seed"]), float(seed["score"]), _curve(seed.get("curve") or ()), bool(seed.get("cached")))
        for seed in content["seeds"]
    )
    random = content.get("random")
    interval = _pair(content["interval"]) if content.get("interval") else None
    return DenseArm(seeds, float(content["statistic"]), interval, None if random is None else float(random))


def _curve(points: Sequence[Sequence[float]]) -> Series:
    return Series(tuple(int(step) for step, _ in points), tuple(float(value) for _, value in points))


def _decision(content: Mapping[str, Any]) -> Decision:
    size_ratio = float(content["size_ratio"])
    return Decision(
        policy_sparsity=float(content["policy_sparsity"]),
        critic_sparsity=float(content["critic_sparsity"]),
        size_ratio=size_ratio,
        compression=float(content.get("compression") or 1 / size_ratio),
        seeds=int(content["seeds"]),
        scores=tuple(map(float, content.get("scores") or ())),
        ratio=float(content["ratio"]),
        interval=_pair(content["interval"]),
        probability=float(content["probability"]),
        verdict=str(content["verdict"]),
    )


def _belief(content: Mapping[str, Any]) -> Belief:
    return Belief(int(content["runs"]), tuple(map(float, content["levels"])), tuple(map(float, content["mass"])))


def _sizes(content: Mapping[str, Any] | None) -> Sizes | None:
    return _sizes_in(content) if content else None


def _sizes_in(content: Mapping[str, Any]) -> Sizes:
    return Sizes(int(content["observation_size"]), int(content["action_size"]))


def _pair(values: Sequence[float]) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)
