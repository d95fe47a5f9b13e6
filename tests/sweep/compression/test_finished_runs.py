"""What asked for the finished runs of a compression, in the order in which they ended."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.search.ledger import Request
from rlx2_ray.sweep.compression.finished_runs import finished_requests
from rlx2_ray.sweep.compression.planner import CompressPlanner, name_of
from rlx2_ray.tracking.tags import PURPOSE
from tests.support.compressions import BASE

PLANNER = CompressPlanner({key: value for key, value in BASE.items() if key != "compress"})
REQUESTS = [
    Request(0.0, 0.0, 1, "dense"),
    Request(0.6127, 0.2254, 1000, "confirm"),
    Request(0.6127, 0.2254, 0, "search"),
    Request(0.5, 0.0, 0, "search"),
]


def write(trials: Path, request: Request, ended_at: int | None) -> None:
    """None: it has not ended."""
    tracking = Tracking("sqlite:///mlflow.db", "tests", tags={PURPOSE: request.purpose})
    with closing(RunDirectory(trials / name_of(request))) as directory:
        directory.create(PLANNER.config(request), tracking)
    if ended_at is not None:
        directory.write_result({"score": 1.0})
        os.utime(directory.path / "result.json", ns=(ended_at, ended_at))


def test_runs_come_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    for place, request in enumerate(REQUESTS):
        write(tmp_path, request, 10**18 - place)
    assert finished_requests(tmp_path) == REQUESTS[::-1]


def test_run_that_has_not_ended_is_none(tmp_path: Path) -> None:
    write(tmp_path, REQUESTS[0], 10**18)
    write(tmp_path, REQUESTS[1], None)
    assert finished_requests(tmp_path) == REQUESTS[:1]


def test_before_the_first_run(tmp_path: Path) -> None:
    assert finished_requests(tmp_path / "trials") == []
