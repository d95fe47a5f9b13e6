"""The dense arm, measured once: what dense runs came to, kept below the user's cache by all that could change it.

That is the configuration but for the seed and what only says where it runs, the versions of the libraries that compute,
and the sources of this package that do.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from rlx2_ray import files, json_text
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.report.record.record import DenseSeed
from rlx2_ray.runs.parts import Finite
from rlx2_ray.runs.result import installed_versions

MOST_BYTES = 2**24
T = TypeVar("T")

_DENSE_SEED, _FINITE = TypeAdapter(DenseSeed), TypeAdapter[float](Finite)

PACKAGE = Path(__file__).resolve().parents[2]
SOURCES = (
    "agents", "algorithms.py", "config", "methods.py", "registry.py", "target_rules.py", "topology_rules.py", "envs",
    "kernels", "networks", "replay", "sparse", "seeding.py", "distributed",
    "experiment/capacity_check.py", "experiment/evaluation.py", "experiment/inline.py",
    "experiment/base_member.py", "experiment/member.py", "experiment/milestones.py", "experiment/owed.py",
    "experiment/population", "experiment/predecessors.py", "experiment/rollout.py", "experiment/trainer.py",
    "runs/final_score.py", "experiment/random_policy.py",
)  # fmt: skip
COMPUTING = ("python", "torch", "gymnasium", "mujoco", "numpy", "numba", "scipy")
OF_DEPLOYED = ("experiment/deployed.py",)  # what makes the deployed score, beside all that makes the other
ELSEWHERE = {"seed", "checkpoint"}  # keys that do not change what another seed scores


class DenseCache:
    def __init__(self, config: ExperimentConfig) -> None:
        """`config`: of the dense arm, with any seed."""
        self.folder = _root() / protocol_key(config)
        self._protocol = _protocol(config)

    def load(self, seed: int) -> DenseSeed | None:
        """Returns None where it was not measured, or the file cannot be read."""
        return self._load(f"seed_{seed}.json", partial(_dense_seed, seed))

    def store(self, run: DenseSeed) -> None:
        played = {} if run.deployed is None else {"deployed": {"score": run.deployed, "sources": deployed_digest()}}
        self._store(f"seed_{run.seed}.json", {"score": run.score, "curve": run.curve, **played})

    def load_random(self) -> float | None:
        """The score of uniformly random actions."""
        return self._load("random.json", lambda content: _FINITE.validate_python(content["score"]))

    def store_random(self, score: float) -> None:
        self._store("random.json", {"score": score})

    def _load(self, name: str, read: Callable[[Any], T]) -> T | None:
        try:
            return read(json_text.parse_object(files.read(self.folder / name, MOST_BYTES)))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _store(self, name: str, content: dict[str, Any]) -> None:
        with suppress(OSError):  # no room, or a home that is read only: it is measured again next time
            self.folder.mkdir(parents=True, exist_ok=True)
            for file, values in (("protocol.json", self._protocol), (name, content)):
                files.write(self.folder / file, json.dumps(values, indent=1))


def _dense_seed(seed: int, content: Any) -> DenseSeed:
    known = {"seed": seed, "score": content["score"], "curve": content["curve"], "cached": True}
    return _DENSE_SEED.validate_python({**known, "deployed": _deployed(content.get("deployed"))})


def _deployed(content: Any) -> float | None:
    """Returns None where an earlier version measured the run, which knew no such score, or played it otherwise."""
    if content is None or content["sources"] != deployed_digest():
        return None
    return _FINITE.validate_python(content["score"])


def protocol_key(config: ExperimentConfig) -> str:
    """16 hex digits that change with all that could change a dense score, but not with the seed."""
    canonical = json.dumps(_protocol(config), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _protocol(config: ExperimentConfig) -> dict[str, Any]:
    tree = {key: value for key, value in config.canonical().items() if key not in ELSEWHERE}
    tree["runtime"] = {
        key: value for key, value in tree["runtime"].items() if key not in ("address", "shard_placement")
    }
    versions = installed_versions()
    return {"config": tree, "versions": {name: versions[name] for name in COMPUTING}, "sources": source_digest()}


@cache
def source_digest() -> str:
    return _digest(_source_files())


@cache
def deployed_digest() -> str:
    """Of its own, so that a dense run is not run again for a score that does not decide."""
    return _digest(PACKAGE / name for name in OF_DEPLOYED)


def _digest(sources: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sources:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _source_files() -> Iterator[Path]:
    for name in SOURCES:
        path = PACKAGE / name
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _root() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlx2_ray" / "dense"
