"""Many runs of one configuration as one population, trained as `rlx2 train --seeds` does."""

from __future__ import annotations

import time
from pathlib import Path

from rlx2_ray.agents.device_choice import best_device
from rlx2_ray.agents.engines import check_engine
from rlx2_ray.config import ExperimentConfig, merge, resolve
from rlx2_ray.experiment.population import arm
from rlx2_ray.experiment.population.arm import Ended
from rlx2_ray.experiment.population.plan_file import MOST_SLOTS, Plan, parse_seeds
from rlx2_ray.tracking.uri import default_experiment, default_tracking_uri
from rlx2_ray.types import BadInput, shown


def train_seeds(
    config: ExperimentConfig,
    seeds: str,
    device: str | None,
    slots: str | None,
    processes: str | None,
    out: Path | None,
    tracking_uri: str | None,
    experiment: str | None,
) -> Ended:
    """Train all seeds to their ends. Options are text, as typed; raises BadInput with nothing written."""
    if config.runtime.kind != "inline":
        raise BadInput(f"runtime.kind is {config.runtime.kind}, but --seeds is a runtime of its own: leave one out.")
    numbers = parse_seeds(seeds)
    where = best_device() if device in (None, "auto") else device
    config = resolve(merge(config.model_dump(), {"engine": "population", "device": where, "seed": numbers[0]}))
    check_engine(config)
    plan = Plan(
        config,
        numbers,
        0,
        _count("--processes", processes, 0) or 0,
        tracking_uri or default_tracking_uri(),
        experiment or default_experiment(),
    )
    return arm.start(plan, _count("--slots", slots, 1), out or _default_directory(plan))


def resume_seeds(directory: Path, tracking_uri: str | None) -> Ended:
    """Go on with those of `train_seeds` in a directory, from now on tracked at another store where one is given."""
    return arm.resume(directory, tracking_uri)


def _count(option: str, text: str | None, least: int) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not least <= int(text[:20]) <= MOST_SLOTS:
        raise BadInput(f"{option} is {shown(text)}: give a whole number from {least} to {MOST_SLOTS}.")
    return int(text)


def _default_directory(plan: Plan) -> Path:
    name = plan.name_of(plan.seeds[0]).removesuffix(f"-s{plan.seeds[0]}")
    return Path("runs") / f"{name}-{len(plan.seeds)}seeds-{time.strftime('%Y%m%d-%H%M%S')}"
