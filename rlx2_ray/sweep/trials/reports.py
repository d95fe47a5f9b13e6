"""What a trial reports: while it runs, at its end, and what one did report that an earlier process worked on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlx2_ray.config import EvaluationConfig
from rlx2_ray.runs.checkpoint import list_checkpoints, steps_of
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.runs.final_score import score_of_points
from rlx2_ray.runs.parts import Point
from rlx2_ray.runs.scores import deployed_of
from rlx2_ray.sweep.description.reported import AT_THE_END, OF_DEPLOYED, REPORTED
from rlx2_ray.types import BadInput

FINAL = ("score", "env_steps", "learner_steps", "wall_s", "ended_early", *AT_THE_END)  # keys of a run's result
UNKNOWN = dict.fromkeys(REPORTED, math.nan)
Report = dict[str, Any]


def report_of(points: Sequence[Point], protocol: EvaluationConfig) -> Report:
    """What a trial says with its latest point: NaN for what it does not know yet, since Tune wants its metric."""
    return {**UNKNOWN, **points[-1], "score": score_of_points(points, protocol)}


def final_report(points: Sequence[Point], protocol: EvaluationConfig, result: Mapping[str, Any]) -> Report:
    """What a trial says at its end."""
    deployed = deployed_of(result)
    final = {key: result[key] for key in FINAL}
    return {**report_of(points, protocol), **final, **({} if deployed is None else {OF_DEPLOYED: deployed})}


def read_reports(path: Path, has_ended: bool = False) -> list[Report]:
    """Returns what a trial has reported and will not report again; nothing of one that cannot be read.

    `has_ended`: it was stopped, and will report nothing at all.
    """
    directory = RunDirectory(path)
    try:
        config, _ = directory.open()
        result, points = directory.read_whole()
    except BadInput:
        return []
    if result is None and not has_ended:
        newest = max(map(steps_of, list_checkpoints(directory.checkpoints)), default=0)
        points = [point for point in points if point["env_steps"] <= newest]
    protocol = config.evaluation
    reports = [report_of(points[: count + 1], protocol) for count in range(len(points))]
    return reports if result is None or not points else [*reports[:-1], final_report(points, protocol, result)]
