"""The actor in which a population lives, here in this process: its runs are ordinary ones, whoever waits for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rlx2_ray.config import Tree
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.populations import Members, plan_populations
from rlx2_ray.sweep.sweeping import Sweep
from rlx2_ray.sweep.trials import population_host
from rlx2_ray.sweep.trials.in_population import Ended, Failed, News
from rlx2_ray.sweep.trials.job import Job, Plan
from rlx2_ray.sweep.trials.population_host import PopulationHost
from rlx2_ray.types import RunFailed
from tests.support.campaigns import sweep_tree
from tests.support.runs import database_uri, evaluated_steps, read_points

STEPS = [100, 200]


class Service:
    """A host with two slots, and the trials of a sweep over three seeds, of 200 steps and checkpoints each 80."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        own: Tree = {"steps": 200, "agent__warmup_steps": 60, "checkpoint__interval": 80}
        sweep = Sweep(parse_queue(sweep_tree({"seed": {"grid": [0, 1, 2]}}, engine="population", **own, **changes)))
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


class Undisturbed(NamedTuple):
    service: Service  # of which all runs have ended
    news: list[list[News]]
    digests: list[str]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    """Two trials in the slots, and a third that waits for one of them."""
    made = Service(tmp_path_factory.mktemp("undisturbed"))
    made.begin(0, 1)
    assert made.host.room() == 0
    made.begin(2)
    news = made.to_the_end(0, 1)
    assert not made.directory(2).exists() or not read_points(made.directory(2))
    made.leave(0)
    news += made.to_the_end(2)
    yield Undisturbed(made, news, [made.digest(index) for index in (0, 1, 2)])
    made.host.close()


def test_runs_of_slots_report_every_point_and_slots_are_refilled(undisturbed: Undisturbed) -> None:
    for index, news in enumerate(undisturbed.news):
        *points, ended = news
        directory = undisturbed.service.directory(index)
        assert points == read_points(directory)
        assert [point["env_steps"] for point in points] == STEPS
        assert ended == Ended(RunDirectory(directory).read_result())
    assert len({*undisturbed.digests}) == 3


def test_run_that_nobody_waits_for_rests(service: Service, undisturbed: Undisturbed) -> None:
    """So a scheduler that takes its time finds it where it decided over it."""
    service.begin(0, 1)
    service.next(0, 1)
    service.to_the_end(1)
    assert evaluated_steps(service.directory(0)) == [100]
    service.to_the_end(0)
    assert [service.digest(index) for index in (0, 1)] == undisturbed.digests[:2]


def test_run_whose_trial_was_killed_goes_on_from_its_checkpoint(service: Service, undisturbed: Undisturbed) -> None:
    """Another process of the trial leaves the run first, as `training_in` does, and begins it again."""
    service.begin(0, 1)
    service.next(0, 1)
    waiting = threading.Thread(target=service.next, args=(1,))
    waiting.start()
    service.leave(0)
    service.begin(0)
    (news,) = service.to_the_end(0)
    waiting.join()
    assert [point["env_steps"] for point in news[:-1]] == [100, 200], "the checkpoint is of step 80"
    assert evaluated_steps(service.directory(0)) == STEPS
    assert service.digest(0) == undisturbed.digests[0]


def test_run_that_a_replaced_process_does_not_know_has_failed(service: Service) -> None:
    (news,) = service.next(0)
    assert isinstance(news, Failed)
    assert news.kind is RunFailed


# An error that nothing was prepared for


class Unexpected(Exception):
    """As an error of the device."""


@pytest.fixture
def broken(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """One whose work has ended in an error, before all who wait for it."""

    def fail(*arguments: Any) -> None:
        raise Unexpected("of the device")

    monkeypatch.setattr(population_host, "open_run", fail)
    service.begin(0, 1)
    with ThreadPoolExecutor() as waiting:
        for each in [waiting.submit(service.host.next, service.plans[index].name) for index in (0, 1)]:
            with pytest.raises(Unexpected, match="of the device"):
                each.result(timeout=60)
    return service


def test_unexpected_error_is_told_whoever_waits_and_nobody_is_kept(broken: Service) -> None:
    with pytest.raises(Unexpected):
        broken.host.next(broken.plans[1].name)
    broken.leave(0)


def test_trial_that_begins_after_an_unexpected_error_has_the_process_replaced(broken: Service) -> None:
    """Which Ray does for an actor that has ended; here a child does what the actor would."""
    child = os.fork()
    if not child:
        broken.begin(2)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
