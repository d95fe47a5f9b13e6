"""How arms stand among each other, with or without a dense one: interquartile mean, interval, and P(A above B)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import NamedTuple

from rlx2_ray.config import dense_counterpart
from rlx2_ray.report.analysis.arms import Arm, arms_of, by_task, dense_scores
from rlx2_ray.report.analysis.run_rows import Row, costs_of
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.scores import DEPLOYED, FINAL, ScoreName
from rlx2_ray.search.improvement import Improvement, improvement
from rlx2_ray.search.statistics import FEWEST_SEEDS, Interval, arm_interval, statistic_of


class Summary(NamedTuple):
    """What the seeds of an arm say by one of the two scores."""

    scores: tuple[float, ...]  # n >= 1
    mean: float  # interquartile
    interval: Interval | None  # 95 %; None: of one seed


class Standing(NamedTuple):
    env_id: str
    algo: str
    steps: int
    arm: str
    seeds: int  # that have the score that the record is by
    by: dict[ScoreName, Summary]  # without a score that none of them has
    costs: Row  # sparsities, active weights, size and FLOPs: NaN where not known


class Pair(NamedTuple):
    """P(a seed of `one` scores above a seed of `other`), by the score that the record is by."""

    env_id: str
    algo: str
    steps: int
    one: str
    other: str
    above: Improvement


def standings(record: Record) -> list[Standing]:
    """Returns an arm each that has a score, task by task, the best first."""
    return [standing for part in by_task(record) for standing in _of_task(part)]


def pairs(record: Record) -> list[Pair]:
    """Returns both orders of every two arms of a task, in the order of `standings`."""
    return [pair for part in by_task(record) for pair in _pairs(_of_task(part), record.score)]


def _of_task(record: Record) -> list[Standing]:
    found = [_standing(record, arm) for arm in _arms(record)]
    with_score = [each for each in found if record.score in each.by]
    return sorted(with_score, key=lambda each: each.by[record.score].mean, reverse=record.mode == "max")


def _arms(record: Record) -> Iterator[Arm]:
    """A compression may have measured no dense seed itself."""
    arms = arms_of(record)
    yield from arms
    sparse = [trial for arm in arms for trial in arm.trials]
    if record.dense is not None and sparse and not any(arm.is_dense for arm in arms):
        dense = sparse[0]._replace(config=dense_counterpart(sparse[0].config), purpose="dense", result={})
        yield Arm("dense", (dense,))


def _standing(record: Record, arm: Arm) -> Standing:
    first = arm.trials[0]
    by = {name: summary for name in (FINAL, DEPLOYED) if (summary := _summary(_scores(record, arm, name)))}
    config = first.config
    seeds = len(by[record.score].scores) if record.score in by else 0
    return Standing(config.env.id, config.algo, config.steps, arm.label, seeds, by, costs_of(record, first))


def _scores(record: Record, arm: Arm, name: ScoreName) -> tuple[float, ...]:
    if arm.is_dense and record.dense is not None:
        return tuple(dense_scores(record.dense.seeds, name))
    return arm.by(name)


def _summary(scores: tuple[float, ...]) -> Summary | None:
    if not scores:
        return None
    return Summary(scores, statistic_of(scores), arm_interval(scores) if len(scores) >= FEWEST_SEEDS else None)


def _pairs(found: Sequence[Standing], name: ScoreName) -> Iterator[Pair]:
    for one, other in permutations(found, 2):
        above = improvement(one.by[name].scores, other.by[name].scores)
        yield Pair(one.env_id, one.algo, one.steps, one.arm, other.arm, above)
