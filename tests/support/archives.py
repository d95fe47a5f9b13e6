"""Archives of runs that nobody trained: made-up curves, in the run directories and files of real ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rlx2_ray.config import Tree, merge, nest, unflatten
from rlx2_ray.runs import archive
from rlx2_ray.runs.directory import RunDirectory, Tracking, describe_evaluations
from rlx2_ray.runs.result import describe_costs, describe_identity
from rlx2_ray.sparse.plan import plan_agent
from tests.support.sweeps import ACTION, OBSERVATION, VERSIONS, Made, make_trial

SPARSE: Tree = {"sparsity": {"policy": 0.98, "critic": 0.95}}
# Arm -> its own keys, how many seeds it has, and its plateau in parts of dense's.
ARMS: dict[str, tuple[Tree, int, float]] = {
    "dense": (nest("method", "dense"), 5, 1.0),
    "rlx2": (SPARSE, 8, 1.02),
    "rigl": (SPARSE | nest("method", "rigl"), 3, 0.8),
    "set": (SPARSE | nest("method", "set"), 3, 0.88),
    "static": (SPARSE | nest("method", "static"), 1, 0.5),
    "n1": (SPARSE | nest("target.n_step", 1), 2, 0.82),
    "n5": (SPARSE | nest("target.n_step", 5), 2, 0.9),
    "fixed": (SPARSE | nest("replay.capacity_rule", "fixed"), 2, 0.85),
    "sparser": ({"sparsity": {"policy": 0.99, "critic": 0.98}}, 3, 0.7),
}


def made_runs(arms: Iterable[str] = ARMS, **changes: Any) -> list[Made]:
    """`changes`: of all runs, names with __ for the dot."""
    own = unflatten({key.replace("__", "."): value for key, value in changes.items()})
    runs = []
    for arm in arms:
        keys, seeds, plateau = ARMS[arm]
        runs += [make_trial(f"{arm}-{seed}", merge(keys, own), seed, "trial", plateau) for seed in range(seeds)]
    return runs


def write_run(folder: Path, made: Made) -> Path:
    """The directory of a run that has finished, or has none of its score yet."""
    directory = RunDirectory(folder / made.name)
    directory.create(made.config, Tracking("sqlite:///mlflow.db", "made-up"))
    directory.close()
    directory.progress_file.write_text("".join(json.dumps(point) + "\n" for point in made.points))
    if made.score is not None:
        directory.write_result(_result(made))
    return directory.path


def _result(made: Made) -> Tree:
    wall_s = made.points[-1]["wall_s"] * (6.0 if made.config.method == "dense" else 1.0)
    return {
        **describe_identity(made.config),
        **describe_costs(made.config, plan_agent(made.config, OBSERVATION, ACTION)),
        "env_steps": made.points[-1]["env_steps"],
        "learner_steps": made.points[-1]["learner_steps"],
        "ended_early": False,
        "score": made.score,
        **_deployed(made),
        "evaluations": describe_evaluations(made.points),
        "wall_s": wall_s,
        "learner_steps_per_s": made.points[-1]["learner_steps"] / wall_s,
        "env_steps_per_s": made.points[-1]["env_steps"] / wall_s,
        "mlflow_run_id": None,
        "policy_digest": "0" * 64,
        "checkpoint": str(made.name),
        "versions": VERSIONS,
    }


def _deployed(made: Made) -> Tree:
    """What the best policy came to when it was played again; a static run is one of an earlier version, without it."""
    if made.config.method == "static" or made.score is None:
        return {}
    return {"deployed": {"env_steps": 5000, "return_mean": made.score + 100, "return_std": 1.0, "episodes": 30}}


def write_archive(folder: Path, runs: Iterable[Made]) -> Path:
    """An archive of those that have finished; their directories stay beside it."""
    for made in runs:
        archive.add(write_run(folder.parent / "runs", made), folder)
    return folder
