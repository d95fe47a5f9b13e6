"""A run's points and evaluations under the names that they have in RLlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    EPISODE_RETURN_MAX,
    EPISODE_RETURN_MEAN,
    EPISODE_RETURN_MIN,
    EVALUATION_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
)
from ray.tune.result import TRAINING_ITERATION

from rlx2_ray.config import EvaluationConfig
from rlx2_ray.runs.final_score import score_of_points
from rlx2_ray.runs.parts import Point

OURS = "rlx2"  # below it, all under our own names
LEARNER = "train/"  # prefix of the learner's metrics in a point

Result = dict[str, Any]


def of_points(points: Sequence[Point], protocol: EvaluationConfig) -> Result:
    """Returns the result of the newest point, the last iteration's. All returns are of noise-free episodes."""
    newest = points[-1]
    returned = {EPISODE_RETURN_MEAN: newest["return_mean"]}
    env_steps = newest["env_steps"]
    return {
        TRAINING_ITERATION: len(points),
        NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps,
        ENV_RUNNER_RESULTS: {**returned, NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps},
        EVALUATION_RESULTS: {ENV_RUNNER_RESULTS: {**returned, NUM_EPISODES: protocol.episodes}},
        LEARNER_RESULTS: {DEFAULT_MODULE_ID: _learner(newest)},
        OURS: {
            **{name: value for name, value in newest.items() if not name.startswith(LEARNER)},
            "score": score_of_points(points, protocol),
        },
    }


def _learner(point: Point) -> dict[str, float]:
    return {name.removeprefix(LEARNER): value for name, value in point.items() if name.startswith(LEARNER)}


def of_end(outcome: Mapping[str, Any]) -> Result:
    """What `result.json` says beside the points."""
    return {name: value for name, value in outcome.items() if isinstance(value, bool | int | float | str)}


def of_evaluation(played: Mapping[str, Any]) -> Result:
    """Returns the result of what `rlx2 evaluate --json` says."""
    returns = played["returns"]
    return {
        ENV_RUNNER_RESULTS: {
            EPISODE_RETURN_MEAN: played["return_mean"],
            EPISODE_RETURN_MIN: min(returns),
            EPISODE_RETURN_MAX: max(returns),
            NUM_EPISODES: played["episodes"],
        },
        OURS: dict(played),
    }
