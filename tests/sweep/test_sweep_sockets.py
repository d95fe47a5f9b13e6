"""A sweep on a Ray of its own listens to this machine alone, though Ray asks for no token there."""

from __future__ import annotations

from pathlib import Path

from tests.distributed.test_actors import LOOPBACK, listeners
from tests.support.campaigns import start_sweep, sweep_tree, trial_directories
from tests.support.runs import ended, family, points_there, wait_for

SPACE = {"sparsity.policy": {"grid": [0.5]}}


def test_sweep_listens_to_loopback_alone(tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    with ended(start_sweep(directory, sweep_tree(SPACE, steps=100_000))) as process:
        wait_for(lambda: any(points_there(trial, 1)() for trial in trial_directories(directory)), process)
        heard = listeners(family(process))
        process.terminate()
        process.communicate()
    assert heard, "Ray's processes speak to one another"
    assert {address for address, _ in heard} <= set(LOOPBACK)
