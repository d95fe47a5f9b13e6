"""What the paper reports of a task, from `assets/paper.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from rlx2_ray.config import ExperimentConfig

COLUMNS = {"tiny": "Tiny", "static": "SS", "set": "SET", "rigl": "RigL", "rlx2": "RLx2"}  # of its table 2
DS_CLAIM = "Sokar et al. (arXiv 2106.04217) claim that it reaches dense's final return in 40 to 50 % of the steps"


class PaperTask(NamedTuple):
    """A row of table 2, returns in % of dense's, and of table 3 the return of rlx2 by its n-step window."""

    policy: float  # sparsity, in [0, 1)
    critic: float
    size: float  # ratios to dense
    train: float
    inference: float
    returns: Mapping[str, float]  # by method
    n_step: Mapping[int, float]  # empty where the paper has none


def paper_task(config: ExperimentConfig) -> PaperTask | None:
    """That of a configuration's environment, in whatever version, and algorithm; None where the paper has none."""
    content = _content()
    name = config.env.id.rpartition("-v")[0]
    for row in content["methods"]:
        if (row["algo"], row["env"]) == (config.algo, name):
            numbers = {key: row[key] for key in ("policy", "critic", "size", "train", "inference", "returns")}
            return PaperTask(**numbers, n_step=content["n_step"].get(name, {}) if config.algo == "td3" else {})
    return None


def paper_source() -> str:
    content = _content()
    return f"{content['source']}: {content['protocol']}"


def paper_steps() -> int:
    """Of each of its runs, in env steps."""
    return int(_content()["steps"])


@cache
def _content() -> dict[str, Any]:
    text = (files("rlx2_ray.sweep.report") / "assets" / "paper.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content
