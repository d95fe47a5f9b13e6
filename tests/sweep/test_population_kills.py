"""Sweeps in a population, of which any process is killed: they end as if nothing had happened."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from rlx2_ray.config import Tree
from tests.distributed.mortal_envs import MODULE
from tests.support.campaigns import (
    NAMES,
    check_every_point_once,
    digests,
    finished_trials,
    kill,
    parent_and_children,
    read_result,
    resume_sweep,
    start_sweep,
    sweep,
    sweep_tree,
    trial_directories,
)
from tests.support.compressions import POINTS as COMPRESSION_POINTS
from tests.support.compressions import compress_tree, start_compression
from tests.support.runs import Ended, actors_of, command_line, ended, evaluated_steps, read_points, wait_for

pytestmark = pytest.mark.slow

STEPS = 600
POINTS = list(range(100, STEPS + 1, 100))
PACED: Tree = sweep_tree(
    steps=STEPS, engine="population", env__id=f"{MODULE}:UnhurriedPendulum-v0", env__kwargs={"step_s": 0.005}
)
THREE = ("--concurrent", "3", "--processes", "2")  # so that the fourth is in a slot that another had
Victim = Callable[[subprocess.Popen[str]], psutil.Process]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return sweep(tmp_path_factory.mktemp("undisturbed") / "sweep", PACED, *THREE)


def check_as_undisturbed(ended_sweep: Ended, undisturbed: Ended) -> None:
    assert ended_sweep.code == 0, ended_sweep.error
    assert "Traceback" not in ended_sweep.error
    assert digests(ended_sweep.directory) == digests(undisturbed.directory)
    check_every_point_once(ended_sweep.directory, {name: POINTS for name in NAMES})
    parent, children = parent_and_children(ended_sweep.directory)
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert {key: ended_sweep.result[key] for key in ("trials", "best", "env_steps")} == {
        key: undisturbed.result[key] for key in ("trials", "best", "env_steps")
    }


def has_come_far(directory: Path) -> bool:
    """A trial has a checkpoint and more, and none has ended."""
    there = [len(read_points(path)) for path in trial_directories(directory)]
    return len(there) == 3 and min(there) >= 2


def population(process: subprocess.Popen[str]) -> psutil.Process:
    (actor,) = actors_of(process, "PopulationHost")
    return actor


def physics(process: subprocess.Popen[str]) -> psutil.Process:
    children = population(process).children()
    return next(each for each in children if "physics_process" in command_line(each))


def handle(process: subprocess.Popen[str]) -> psutil.Process:
    return (actors_of(process, "ResourceTrainable") + actors_of(process, "SweepTrial"))[0]


def test_trials_are_ordinary_runs(undisturbed: Ended) -> None:
    assert undisturbed.code == 0, undisturbed.error
    assert "Trials are slots of a population on cpu: 3 at a time, 1 MiB each; 2 processes step" in undisturbed.error
    check_as_undisturbed(undisturbed, undisturbed)
    assert {read_result(path)["engine"] for path in finished_trials(undisturbed.directory)} == {"population"}


@pytest.mark.parametrize("victim", [population, physics, handle])
def test_process_killed(victim: Victim, undisturbed: Ended, tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    with ended(start_sweep(directory, PACED, *THREE, "--json")) as process:
        wait_for(lambda: has_come_far(directory), process, 300)
        victim(process).kill()
        output, error = process.communicate(timeout=400)
    check_as_undisturbed(Ended(directory, process.returncode, output, error), undisturbed)
    assert "goes on from its last checkpoint" in error


@pytest.mark.parametrize("with_ray", [False, True], ids=["driver", "all processes"])
def test_driver_killed(with_ray: bool, undisturbed: Ended, tmp_path: Path) -> None:
    directory = tmp_path / "sweep"
    with ended(start_sweep(directory, PACED, *THREE)) as process:
        wait_for(lambda: has_come_far(directory), process, 300)
        kill(process, with_ray)
    resumed = resume_sweep(directory)
    check_as_undisturbed(resumed, undisturbed)


def test_one_stopped_by_asha_leaves_its_slot(tmp_path: Path) -> None:
    tune: Tree = {"scheduler": {"name": "asha", "grace_period": 100, "reduction_factor": 2}}
    tree = {**PACED, "tune": tune}
    done = sweep(tmp_path / "sweep", tree, "--concurrent", "2", "--processes", "0")
    assert done.code == 0, done.error
    states = [trial["state"] for trial in done.result["trials"]]
    assert len(states) == 4
    assert {"finished", "stopped"} == {*states}


def test_population_based_training_gives_what_one_trial_came_to_to_another(tmp_path: Path) -> None:
    """From checkpoints that Tune carries; whoever takes one over goes on in a slot again."""
    mutations: Tree = {"agent.learning_rate": {"loguniform": [1.0e-4, 1.0e-2]}}
    scheduler: Tree = {"name": "pbt", "perturbation_interval": 100, "hyperparam_mutations": mutations}
    tree = sweep_tree({"seed": {"grid": [0, 1, 2, 3]}}, {"scheduler": scheduler}, steps=STEPS, engine="population")
    done = sweep(tmp_path / "sweep", tree, "--processes", "0")
    assert done.code == 0, done.error
    assert [trial["state"] for trial in done.result["trials"]] == ["finished"] * 4
    directories = trial_directories(done.directory)
    assert [evaluated_steps(path) for path in directories] == [POINTS] * 4
    moments = [read_points(path)[0]["wall_s"] for path in directories]
    assert len({*moments}) < 4, "one has the past of another, to the moment of its first point"


def test_compression_whose_population_is_killed(tmp_path: Path) -> None:
    """Its search asks for as many runs at a time as there are slots, and ends as it would have."""
    tree = compress_tree(engine="population", compress__budget={"runs": 9}, compress__processes=1)
    directory = tmp_path / "compression"
    with ended(start_compression(directory, tree, "--json")) as process:
        wait_for(lambda: any(len(read_points(path)) >= 4 for path in trial_directories(directory)), process, 300)
        population(process).kill()
        output, error = process.communicate(timeout=500)
    assert process.returncode == 0, error
    assert "slots of a population on cpu: 9 at a time" in error
    assert "goes on from its last checkpoint" in error
    result = Ended(directory, process.returncode, output, error).result
    assert result["runs"] == 9
    assert all(evaluated_steps(path) == COMPRESSION_POINTS for path in trial_directories(directory))
