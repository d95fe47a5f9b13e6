"""What is known of gymnasium's own environments, since a report makes none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from rlx2_ray.config import yaml_text


class Known(NamedTuple):
    random_score: float  # of uniformly random actions
    observation_size: int
    action_size: int


@cache
def known() -> Mapping[str, Known]:
    """Returns what is known of each id, made without keyword arguments."""
    text = (files("rlx2_ray.report") / "assets" / "environments.yaml").read_text(encoding="utf-8")
    return {env_id: Known(**fields) for env_id, fields in yaml_text.read(text, "environments.yaml").items()}
