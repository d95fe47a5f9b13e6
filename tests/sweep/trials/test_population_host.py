"""The actor in which a population lives, here in this process: its runs are ordinary ones, whoever waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.populations import Members, plan_populations
from rlx2_ray.sweep.sweeping import Sweep
from rlx2_ray.sweep.trials.in_population import Ended, Failed, News
from rlx2_ray.sweep.trials.job import Job, Plan
from rlx2_ray.sweep.trials.population_host import PopulationHost
from rlx2_ray.types import RunFailed
from tests.support.campaigns import sweep_tree
from tests.support.runs import database_uri, evaluated_steps, read_points

STEPS = [100, 200, 300]


class Service:
    """A host with two slots, and the trials of a sweep over three seeds, of 300 steps and checkpoints each 170."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        sweep = Sweep(parse_queue(sweep_tree({"seed": {"grid": [0, 1, 2]}}, engine="population", **changes)))
        spaces = probe_spaces(sweep.examples[0].env)
        planned = (sweep.planner.planned(name) for name in sweep.planner.planned_names)
        self.plans: list[Plan] = [plan for plan in planned if plan is not None]
        configs = {plan.name: (plan.config, spaces) for plan in self.plans}
        uri = database_uri(folder)
        self.job = Job(folder / "trials", Tracking(uri, "tests", "sweep-1a2b"), uri, sweep.planner)
        self.host = PopulationHost(self.job, plan_populations(Members(configs, 3, 2, 0)).needs)

    def begin(self, *indices: int) -> None:
        for index in indices:
            self.host.begin(self.plans[index])

    def next(self, *indices: int) -> list[News]:
        """What comes next of each, all being waited for at once."""
        found: dict[int, News] = {}

        def ask(index: int) -> None:
            found[index] = self.host.next(self.plans[index].name)

        threads = [threading.Thread(target=ask, args=(index,)) for index in indices]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return [found[index] for index in indices]

    def to_the_end(self, *indices: int) -> list[list[News]]:
        """All that comes of each."""
        rows = [self.next(*indices)]
        while not isinstance(rows[-1][0], Ended):
            rows.append(self.next(*indices))
        return [list(column) for column in zip(*rows, strict=True)]

    def leave(self, index: int) -> None:
        self.host.leave(self.plans[index].name)

    def directory(self, index: int) -> Path:
        return self.job.directory(self.plans[index])

    def digest(self, index: int) -> str:
        result = RunDirectory(self.directory(index)).read_result()
        assert result is not None
        return str(result["policy_digest"])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.host.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The digests of the trials' policies."""
    made = Service(tmp_path_factory.mktemp("undisturbed"))
    made.begin(0, 1)
    made.to_the_end(0, 1)
    made.leave(0)
    made.begin(2)
    made.to_the_end(2)
    made.host.close()
    return [made.digest(index) for index in (0, 1, 2)]


def test_runs_of_slots_report_every_point_and_slots_are_refilled(service: Service, undisturbed: list[str]) -> None:
    service.begin(0, 1)
    assert service.host.room() == 0
    service.begin(2)  # waits for a slot
    for index, news in zip((0, 1), service.to_the_end(0, 1), strict=True):
        *points, ended = news
        assert points == read_points(service.directory(index))
        assert [point["env_steps"] for point in points] == STEPS
        assert ended == Ended(RunDirectory(service.directory(index)).read_result())
    assert not service.directory(2).exists() or not read_points(service.directory(2))
    service.leave(0)
    service.to_the_end(2)
    assert [service.digest(index) for index in (0, 1, 2)] == undisturbed


def test_run_that_nobody_waits_for_rests(service: Service, undisturbed: list[str]) -> None:
    """So a scheduler that takes its time finds it where it decided over it."""
    service.begin(0, 1)
    service.next(0, 1)
    service.to_the_end(1)
    assert evaluated_steps(service.directory(0)) == [100]
    service.to_the_end(0)
    assert [service.digest(index) for index in (0, 1)] == undisturbed[:2]


def test_run_whose_trial_was_killed_goes_on_from_its_checkpoint(service: Service, undisturbed: list[str]) -> None:
    """Another process of the trial leaves the run first, as `training_in` does, and begins it again."""
    service.begin(0, 1)
    service.next(0, 1)
    service.next(0, 1)
    waiting = threading.Thread(target=service.next, args=(1,))
    waiting.start()
    service.leave(0)
    service.begin(0)
    (news,) = service.to_the_end(0)
    waiting.join()
    assert [point["env_steps"] for point in news[:-1]] == [200, 300], "the checkpoint is of step 170"
    assert evaluated_steps(service.directory(0)) == STEPS
    assert service.digest(0) == undisturbed[0]


def test_run_that_a_replaced_process_does_not_know_has_failed(service: Service) -> None:
    (news,) = service.next(0)
    assert isinstance(news, Failed)
    assert news.kind is RunFailed
