"""What a compression was told, from its record and its runs."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.search.ledger import Request
from rlx2_ray.sweep.compression.finished_runs import Past, past_of
from rlx2_ray.sweep.compression.planner import CompressPlanner, name_of
from tests.support.compressions import BASE
from tests.support.runs import RESULT

PAIRS = ((0.5, 0.0), (0.6127, 0.2254))
PLANNER = CompressPlanner({key: value for key, value in BASE.items() if key != "compress"}, PAIRS)
REQUESTS = [
    Request(0.0, 0.0, 1, "dense"),
    Request(0.6127, 0.2254, 1000, "confirm"),
    Request(0.6127, 0.2254, 0, "search"),
    Request(0.5, 0.0, 0, "search"),
]
KNOWN = [Request(0.0, 0.0, 0, "dense")]
EMPTY = Record("compress", "x", "running")


def write(trials: Path, request: Request, ended_at: int | None) -> None:
    """None: it has not ended."""
    with closing(RunDirectory(trials / name_of(request))) as directory:
        directory.create(PLANNER.config(request), Tracking("sqlite:///mlflow.db", "tests"))
    if ended_at is not None:
        directory.write_result(RESULT)
        os.utime(directory.path / "result.json", ns=(ended_at, ended_at))


def past(trials: Path, record: Record = EMPTY, known: list[Request] = KNOWN) -> Past:
    return past_of(record, trials, PLANNER.requests, known)


def told(*requests: Request) -> list[tuple[Request, bool]]:
    return [(request, False) for request in requests]


@pytest.mark.parametrize("request_", [*REQUESTS, *KNOWN])
def test_name_is_of_one_request(request_: Request) -> None:
    assert list(PLANNER.requests.of(name_of(request_))) == [request_]
    planned = PLANNER.planned(name_of(request_))
    assert planned is not None
    assert (planned.config, planned.purpose) == (PLANNER.config(request_), request_.purpose)
    assert list(PLANNER.requests.of("p0.9000-c0.9000-s1")) == list(PLANNER.requests.of("notes")) == []


def test_runs_that_no_record_tells_of_come_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    """After the dense runs of elsewhere."""
    for place, request in enumerate(REQUESTS):
        write(tmp_path, request, 10**18 - place)
    assert past(tmp_path).told == told(*KNOWN, *REQUESTS[::-1])


def test_record_says_the_order_and_what_failed_even_where_a_run_is_lost(tmp_path: Path) -> None:
    for place, request in enumerate(REQUESTS[1:]):
        write(tmp_path, request, 10**18 - place)
    events = [("ended", REQUESTS[0]), ("failed", KNOWN[0]), ("ended", REQUESTS[2])]
    record = Record("compress", "x", "running", history=tuple((event, name_of(each)) for event, each in events))
    assert past(tmp_path, record).told == [
        (REQUESTS[0], False), (KNOWN[0], True), (REQUESTS[2], False), *told(REQUESTS[3], REQUESTS[1]),
    ]  # fmt: skip


def test_run_that_has_not_ended_has_begun(tmp_path: Path) -> None:
    write(tmp_path, REQUESTS[0], 10**18)
    write(tmp_path, REQUESTS[1], None)
    assert past(tmp_path, known=[]) == (told(REQUESTS[0]), [REQUESTS[1]])


def test_before_the_first_run(tmp_path: Path) -> None:
    assert past(tmp_path / "trials", known=[]) == ([], [])
