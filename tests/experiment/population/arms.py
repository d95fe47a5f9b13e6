"""Small arms in this process, and what is found on disk afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlx2_ray.experiment.population import arm
from rlx2_ray.experiment.population.arm import Ended
from rlx2_ray.experiment.population.plan_file import Plan
from tests.support.runs import database_uri, small_config

POINTS = [100, 200, 300, 400, 500, 600]


def plan(directory: Path, seeds: tuple[int, ...], processes: int = 0, **changes: Any) -> Plan:
    config = small_config(engine="population", **changes)
    return Plan(config, seeds, 0, processes, database_uri(directory.parent), "tests")


def train(
    directory: Path, seeds: tuple[int, ...] = (0, 1), slots: int | None = None, processes: int = 0, **changes: Any
) -> Ended:
    return arm.start(plan(directory, seeds, processes, **changes), slots, directory)


def member_of(directory: Path, seed: int) -> Path:
    (path,) = directory.glob(f"*-s{seed}")
    return path
