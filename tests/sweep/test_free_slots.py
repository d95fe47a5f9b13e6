"""A trial that has failed for good leaves its slot, in whichever population it was."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rlx2_ray.runs.directory import Tracking
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.free_slots import FreeSlots
from rlx2_ray.sweep.sweeping import Sweep
from rlx2_ray.sweep.trials.job import Job
from tests.support.campaigns import sweep_tree


class Leave:
    """A method of an actor, as Ray has it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def remote(self, name: str) -> None:
        self.names.append(name)


class Population(NamedTuple):
    leave: Leave


class Failed(NamedTuple):
    """What is asked of one of Tune's trials."""

    config: dict[str, Any]
    trial_id: str


@pytest.mark.parametrize("copied", [False, True], ids=["as it is", "as Tune copies it"])
def test_trial_that_failed_for_good_is_out_of_all_populations(copied: bool, tmp_path: Path) -> None:
    sweep = Sweep(parse_queue(sweep_tree({"seed": {"grid": [0, 1, 2]}}, engine="population")))
    populations: Any = (Population(Leave()), Population(Leave()))
    job = Job(tmp_path, Tracking("sqlite:///none.db", "tests"), "", sweep.planner, populations=populations)
    callback = copy.copy(FreeSlots(job)) if copied else FreeSlots(job)
    failed: Any = Failed({"seed": 1}, "1a2b_00001")
    name = sweep.planner.plan(failed.config, failed.trial_id).name
    callback.on_trial_error(3, [failed], failed)
    assert [each.leave.names for each in populations] == [[name], [name]]
