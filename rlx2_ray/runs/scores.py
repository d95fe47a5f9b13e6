"""The two scores of a run: how training ends, and how good the policy is that the run hands out.

`final` is the mean of the last evaluations, `deployed` what the policy of the best evaluation comes to on fresh ones.
A run of an earlier version, or one with `evaluation.deployed_episodes: 0`, has no deployed score, and its best
evaluation is no substitute: the best of many noisy means flatters the policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

ScoreName = Literal["final", "deployed"]
FINAL: ScoreName = "final"
DEPLOYED: ScoreName = "deployed"
OTHER: dict[ScoreName, ScoreName] = {FINAL: DEPLOYED, DEPLOYED: FINAL}
IN_TUNE = {FINAL: "score", DEPLOYED: "deployed"}  # keys of what a trial reports


def deployed_of(result: Mapping[str, Any]) -> float | None:
    """Returns the deployed score that a run's result has; None where it has none."""
    played = result.get("deployed")
    return float(played["return_mean"]) if played else None


def score_of(result: Mapping[str, Any], name: ScoreName) -> float | None:
    """Returns that score of a finished run's result; None where it has none."""
    return deployed_of(result) if name == DEPLOYED else float(result["score"])
