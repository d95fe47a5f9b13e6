"""What a compression that goes on was told, in that order, and what had begun: from its record and its runs.

A search that is asked again would ask in another order than with several runs at a time, and leave some of them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rlx2_ray.report.record.record import Record
from rlx2_ray.search.ledger import Request
from rlx2_ray.sweep.compression.planner import Requests


class Past(NamedTuple):
    told: Sequence[tuple[Request, bool]] = ()  # and whether it failed; what became of the others is in their results
    begun: Sequence[Request] = ()  # and not told


def past_of(record: Record, trials: Path, requests: Requests, known: Iterable[Request]) -> Past:
    """Returns the past of a compression whose runs are in `trials`; `known`: dense runs of elsewhere.

    Where the record does not say what the search was told, as that of an earlier version, it is of the known runs, and
    then of those here in the order in which they ended.
    """
    told = {request: event == "failed" for event, name in record.history for request in requests.of(name)}
    for request in [] if told else known:
        told[request] = False
    for path in _in_order(trials, "result.json"):
        for request in requests.of(path.name):
            told.setdefault(request, False)
    here = [request for path in _in_order(trials, "config.yaml") for request in requests.of(path.name)]
    return Past(list(told.items()), [request for request in here if request not in told])


def _in_order(trials: Path, name: str) -> list[Path]:
    files = sorted(trials.glob(f"*/{name}"), key=lambda file: (file.stat().st_mtime_ns, file))
    return [file.parent for file in files]
