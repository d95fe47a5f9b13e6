"""Points on their way to MLflow: each (metric, step) of a run once, in batches that MLflow takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from rlx2_ray.tracking.sending import LARGEST

if TYPE_CHECKING:
    from mlflow.entities import Metric

Point = Mapping[str, float]  # metric name -> value, and "env_steps", which becomes MLflow's step


class Pending(NamedTuple):
    """A point on its way. It keeps its time, so that MLflow's SQL stores drop what a retry sends twice."""

    timestamp_ms: int
    step: int
    values: dict[str, float]


def pending(point: Point, timestamp_ms: int) -> Pending:
    values = {name: float(value) for name, value in point.items() if name != "env_steps"}
    return Pending(timestamp_ms, int(point["env_steps"]), values)


def next_batch(points: list[Pending], logged: set[tuple[str, int]]) -> tuple[dict[tuple[str, int], Metric], int]:
    """New metrics of the first points, by (name, step), as many whole points as a batch holds; and their number."""
    batch: dict[tuple[str, int], Metric] = {}
    for count, point in enumerate(points):
        if count and len(batch) + len(point.values) > LARGEST["metrics"]:
            return batch, count
        new = {(name, point.step): _metric(point, name) for name in point.values if (name, point.step) not in logged}
        batch = new | batch  # the first of two values for one step stays
    return batch, len(points)


def _metric(point: Pending, name: str) -> Metric:
    from mlflow.entities import Metric

    value = point.values[name]
    # SQL stores would write infinity as 1.8e308, which flattens every chart; NaN is kept as what it is.
    return Metric(name, value if math.isfinite(value) else math.nan, point.timestamp_ms, point.step)
