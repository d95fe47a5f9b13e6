"""Small runs through RLlib's interface, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.tune.trainable import trainable

from rlx2_ray.rllib import RLx2, RLx2Config
from tests.support.runs import SMALL, database_uri, dotted

MakeConfig = Callable[..., RLx2Config]
Keep = Callable[[RLx2], RLx2]


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """`SMALL` with changes, whose names have __ for the dot; iterations of 200 env steps."""

    def make(**changes: Any) -> RLx2Config:
        settings = {**SMALL, **dotted(changes)}
        env_id = settings.pop("env.id")
        for key in ("evaluation.interval", "evaluation.episodes", "checkpoint.interval"):
            settings.pop(key)
        config = RLx2Config().environment(env_id).training(settings=settings, tracking_uri=database_uri(tmp_path))
        config.training(mlflow_experiment="tests").reporting(min_sample_timesteps_per_iteration=200)
        return config.evaluation(evaluation_duration=1).debugging(log_sys_usage=False)  # type: ignore[no-any-return]

    return make


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keep]:
    """Has algorithms below a folder of the test, and stops at its end those that are given to it."""
    results = tmp_path / "ray_results"
    results.mkdir()
    monkeypatch.setattr(trainable, "DEFAULT_STORAGE_PATH", str(results))
    kept: list[RLx2] = []

    def keep_one(algo: RLx2) -> RLx2:
        kept.append(algo)
        return algo

    yield keep_one
    for algo in kept:
        algo.stop()
