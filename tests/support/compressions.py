"""Small real compressions by the console script, with a dense cache of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from rlx2_ray.config import Tree, merge, unflatten
from rlx2_ray.kernels.cache import cache_directory
from tests.support.runs import Ended, compile_kernels, database_uri, dotted, start_rlx2

# A pole that a network of two layers of 16 learns to hold a little longer than chance, in a second. Sparse ones do so
# no worse, so with a low threshold they are accepted on any machine.
STEPS, INTERVAL = 1000, 100
POINTS = list(range(INTERVAL, STEPS + 1, INTERVAL))
DENSE_SEEDS = 3
BASE: Tree = {
    "env": {"id": "InvertedPendulum-v5"},
    "steps": STEPS,
    "network": {"hidden": [16, 16]},
    "agent": {"batch_size": 32, "warmup_steps": 200, "learning_rate": 3.0e-3, "tau": 0.05},
    "topology": {"interval": 50},
    "target": {"n_step": 3, "n_step_start": 200},
    "replay": {"min_capacity": 1000, "max_capacity": 5000, "check_interval": 500},
    "evaluation": {"interval": INTERVAL, "episodes": 2, "deployed_episodes": 2, "score_window": 30},
    "checkpoint": {"interval": 300},
    "compress": {"levels": 3, "max_sparsity": 0.7, "threshold": 0.3, "dense_seeds": DENSE_SEEDS, "max_seeds": 4},
}


def compress_tree(**changes: Any) -> Tree:
    """`BASE` with changes, whose names have __ for the dot."""
    return merge(BASE, unflatten(dotted(changes)))


def cache_variables(folder: Path) -> dict[str, str]:
    """Of the environment of a process whose dense cache is in `folder`, and whose kernels are those of all."""
    compile_kernels()
    return {"XDG_CACHE_HOME": str(folder / "cache"), "NUMBA_CACHE_DIR": str(cache_directory().parent)}


def compress_arguments(directory: Path, tree: Tree, *options: str) -> list[str]:
    """Of a compression in `directory`, tracked beside it."""
    file = directory.parent / f"{directory.name}.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    tracked = ["--tracking-uri", database_uri(directory.parent)]
    return ["compress", str(file), "--out", str(directory), *tracked, *options]


def start_compression(directory: Path, tree: Tree, *options: str) -> subprocess.Popen[str]:
    """In processes that can be killed; the dense cache is beside `directory`."""
    arguments = compress_arguments(directory, tree, *options)
    return start_rlx2(*arguments, folder=directory.parent, **cache_variables(directory.parent))


def compress(directory: Path, tree: Tree, *options: str) -> Ended:
    """To its end."""
    return wait(directory, start_compression(directory, tree, *options, "--json"))


def resume_compression(directory: Path, *options: str) -> Ended:
    arguments = ["resume", str(directory), *options, "--json"]
    return wait(directory, start_rlx2(*arguments, folder=directory.parent, **cache_variables(directory.parent)))


def wait(directory: Path, process: subprocess.Popen[str]) -> Ended:
    try:
        output, error = process.communicate(timeout=500)
    finally:
        process.kill()
    return Ended(directory, process.returncode, output, error)


def cached_seeds(folder: Path) -> list[int]:
    """Dense runs in the cache in `folder`, of one protocol."""
    files = (folder / "cache").glob("rlx2_ray/dense/*/seed_*.json")
    return sorted(int(file.stem.removeprefix("seed_")) for file in files)


def cached_outcome(folder: Path, seed: int) -> dict[str, Any]:
    (file,) = (folder / "cache").glob(f"rlx2_ray/dense/*/seed_{seed}.json")
    content: dict[str, Any] = json.loads(file.read_text())
    return content
