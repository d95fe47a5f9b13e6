"""Reading a store over and over: what has changed is seen, and what has ended is not read again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.tracking.reader import TrackingReader
from tests.support.runs import database_uri

HOUR_MS = 3_600_000
ENDED = 5


class Store:
    """An experiment with ENDED runs that ended hours ago and one that is running, and a reader that has read it."""

    def __init__(self, uri: str) -> None:
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(uri)
        self.now = int(time.time() * 1000)
        self.experiment = self.client.create_experiment("plain")
        for number in range(ENDED):
            began = self.now - (10 - number) * HOUR_MS
            self.client.set_terminated(self.create(f"ended {number}", began), end_time=began + HOUR_MS)
        self.running = self.create("running", self.now - HOUR_MS)
        self.reader = TrackingReader(uri)
        self.fetched: list[str] = []
        self.states()
        self._count()

    def create(self, name: str, began: int) -> str:
        tags = {"rlx2.config_hash": "x"}
        return str(self.client.create_run(self.experiment, began, tags, name).info.run_id)

    def states(self) -> dict[str, str]:
        """As the reader sees them now; `fetched` are the runs that it reads for that."""
        self.fetched = []
        return {run.name: run.status for run in self.reader.plain_runs("plain")}

    def _count(self) -> None:
        search = self.reader._client.search_runs

        def counted(*arguments: Any, **options: Any) -> Any:
            page = search(*arguments, **options)
            self.fetched += [run.info.run_name for run in page]
            return page

        self.reader._client.search_runs = counted


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(database_uri(tmp_path))


ALL = {f"ended {number}": "FINISHED" for number in range(ENDED)} | {"running": "RUNNING"}


def test_what_ended_long_ago_is_not_read_again(store: Store) -> None:
    assert store.states() == ALL
    assert sorted(store.fetched) == ["ended 4", "running"], "the last one to end, others may still end beside"


def test_a_run_that_goes_on_has_its_new_values(store: Store) -> None:
    store.client.log_metric(store.running, "score", 7.0)
    store.states()
    assert store.reader.plain_runs("plain")[-1].metrics == {"score": 7.0}


@pytest.mark.parametrize("behind_ms", [0, 5 * HOUR_MS])
def test_a_run_that_ends_is_seen_also_with_a_clock_that_is_behind(store: Store, behind_ms: int) -> None:
    store.client.set_terminated(store.running, "FAILED", end_time=store.now - behind_ms)
    assert store.states() == ALL | {"running": "FAILED"}


def test_a_new_run_is_seen_in_the_order_in_which_they_began(store: Store) -> None:
    store.client.set_terminated(store.create("short", store.now), end_time=store.now + 1)
    store.create("new", store.now + 2)
    assert list(store.states().items()) == [*ALL.items(), ("short", "FINISHED"), ("new", "RUNNING")]


def test_a_run_that_is_resumed_is_running_again(store: Store) -> None:
    resumed = store.reader.plain_runs("plain")[0].run_id
    store.client.update_run(resumed, status="RUNNING")
    assert store.states() == ALL | {"ended 0": "RUNNING"}


def test_a_deleted_run_is_gone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.client.delete_run(store.running)
    gone = dict(list(ALL.items())[:-1])
    assert store.states() == gone
    store.client.delete_run(store.reader.plain_runs("plain")[0].run_id)
    assert store.states() == gone, "one that has ended is so only when all is read again"
    monkeypatch.setattr("rlx2_ray.tracking.reader.WHOLE_S", 0.0)
    assert store.states() == dict(list(gone.items())[1:])
