"""What the paper reports of a task, from `assets/paper.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from rlx2_ray.config import ExperimentConfig, yaml_text

COLUMNS = {"tiny": "Tiny", "static": "SS", "set": "SET", "rigl": "RigL", "rlx2": "RLx2"}  # of its table 2
Name = tuple[str, str]  # algorithm and environment, as in ("td3", "Hopper")
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
    """Returns that of a configuration's environment, in any version, and algorithm; None where the paper has none."""
    return paper_tasks().get(paper_name(config))


def paper_name(config: ExperimentConfig) -> Name:
    """Returns what the paper calls a configuration's task, if it has it."""
    return config.algo, config.env.id.rpartition("-v")[0]


@cache
def paper_tasks() -> dict[Name, PaperTask]:
    """Returns all rows of its table 2, in its order."""
    content, found = _content(), {}
    for row in content["methods"]:
        algo, env = row["algo"], row["env"]
        numbers = {key: row[key] for key in ("policy", "critic", "size", "train", "inference", "returns")}
        found[algo, env] = PaperTask(**numbers, n_step=content["n_step"].get(env, {}) if algo == "td3" else {})
    return found


def paper_source() -> str:
    content = _content()
    return f"{content['source']}: {content['protocol']}"


def paper_steps() -> int:
    """Returns the length of each of its runs, in env steps."""
    return int(_content()["steps"])


@cache
def _content() -> dict[str, Any]:
    text = (files("rlx2_ray.report") / "assets" / "paper.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml_text.read(text, "paper.yaml")
    return content
