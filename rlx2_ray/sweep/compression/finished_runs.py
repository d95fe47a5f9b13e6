"""The finished runs of a compression whose search begins anew: told to it in the order in which they ended.

A search that is asked again would ask in another order than with several runs at a time, and leave some of them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.search.ledger import DENSE_PAIR, Purpose, Request
from rlx2_ray.sweep.compression.planner import name_of
from rlx2_ray.tracking.tags import PURPOSE

PURPOSES: tuple[Purpose, ...] = ("dense", "search", "confirm")


def finished_requests(trials: Path) -> list[Request]:
    """Returns what asked for the runs that have ended, the first to end first; `trials` holds their directories."""
    files = sorted(trials.glob("*/result.json"), key=lambda file: (file.stat().st_mtime_ns, file))
    return [request for file in files for request in _request_of(file.parent)]


def _request_of(path: Path) -> Iterator[Request]:
    config, origin = RunDirectory(path).open()
    for purpose in PURPOSES:
        if origin.tags.get(PURPOSE) == purpose:
            pair = DENSE_PAIR if purpose == "dense" else (config.sparsity.policy, config.sparsity.critic)
            request = Request(*pair, config.seed, purpose)
            if name_of(request) == path.name:
                yield request
