"""What uniformly random actions score: as a sweep measured it, or as it is known of gymnasium's own environments.

A report loads no environment. Where neither is known, no part of a dense return is stated: a ratio of raw returns says
nothing where random actions score far from zero, and is wrong where returns are negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from rlx2_ray.config import ExperimentConfig, yaml_text
from rlx2_ray.report.record.record import Record


def random_score_of(record: Record, config: ExperimentConfig) -> float | None:
    """Returns that of a configuration's environment; None where it is not known."""
    measured = record.random_of.get(config.env.id)
    is_as_made = not config.env.kwargs and config.evaluation.max_episode_steps is None
    return known().get(config.env.id) if measured is None and is_as_made else measured


@cache
def known() -> Mapping[str, float]:
    """Returns id -> score, of environments that are made without keyword arguments."""
    text = (files("rlx2_ray.report") / "assets" / "random_scores.yaml").read_text(encoding="utf-8")
    content: Mapping[str, float] = yaml_text.read(text, "random_scores.yaml")
    return content
