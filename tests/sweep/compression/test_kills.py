"""Compressions that are killed, interrupted or run out of budget, in one dimension and in two."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.config import Tree
from rlx2_ray.report.record.directory import read_directory
from tests.distributed.mortal_envs import MODULE
from tests.support.campaigns import (
    check_every_point_once,
    digests,
    finished_trials,
    interrupt,
    kill,
    moments,
    parent_and_children,
    read_record,
    read_result,
    trial_directories,
    trial_names,
)
from tests.support.compressions import (
    DENSE_SEEDS,
    INTERVAL,
    POINTS,
    cache_variables,
    compress,
    compress_tree,
    resume_compression,
    start_compression,
)
from tests.support.runs import Ended, ended, flip_byte, read_points, start_rlx2, wait_for

pytestmark = pytest.mark.slow

ENV = f"{MODULE}:UnhurriedPendulum-v0"
# Runs of some seconds, however fast the machine.
PACED: Tree = compress_tree(env__id=ENV, env__kwargs={"step_s": 0.001}, evaluation__episodes=1)
ONE = ("--concurrent", "1")  # so that runs end in one order
SAME = ("dense", "decisions", "runs", "env_steps", "messages")  # keys of a result


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    done = compress(tmp_path_factory.mktemp("undisturbed") / "out", PACED, *ONE)
    assert done.code == 0, done.error
    return done


def check_as_undisturbed(done: Ended, undisturbed: Ended) -> None:
    assert done.code == 0, done.error
    assert "Traceback" not in done.error
    assert trial_names(done.directory) == trial_names(undisturbed.directory)
    assert digests(done.directory) == digests(undisturbed.directory)
    mine, others = done.result, undisturbed.result
    assert {key: mine[key] for key in SAME} == {key: others[key] for key in SAME}
    fields = ("policy_sparsity", "critic_sparsity", "verdict", "trial", "probability")
    assert [mine["ultimate"][field] for field in fields] == [others["ultimate"][field] for field in fields]
    assert read_record(done.directory)["beliefs"] == read_record(undisturbed.directory)["beliefs"]
    check_tracked(done)


def check_tracked(done: Ended) -> None:
    """Every point once, and one MLflow run a trial; all have ended."""
    came_to = {path.name: read_result(path)["env_steps"] for path in finished_trials(done.directory)}  # some end early
    check_every_point_once(done.directory, {name: POINTS[: steps // INTERVAL] for name, steps in came_to.items()})
    parent, children = parent_and_children(done.directory)
    assert sorted(children) == trial_names(done.directory)
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert read_directory(done.directory).state == "finished"


def is_in_dense_phase(directory: Path) -> bool:
    done = {path.name for path in finished_trials(directory)}
    return done == {"dense-s0"} and len(read_points(directory / "trials" / "dense-s1")) >= 5


def is_in_search_phase(directory: Path) -> bool:
    """Some sparse runs are done, the record knows of them, and another has got somewhere."""
    if len(finished_trials(directory)) < DENSE_SEEDS + 3 or len(read_record(directory).get("beliefs", [])) < 2:
        return False
    newest = max(trial_directories(directory), key=lambda path: path.stat().st_mtime_ns)
    return 1 < len(read_points(newest)) < len(POINTS)


def is_confirming(directory: Path) -> bool:
    return sum("-s10" in path.name for path in finished_trials(directory)) >= 2


PHASES = {"dense": is_in_dense_phase, "search": is_in_search_phase, "confirmation": is_confirming}


@pytest.mark.parametrize("phase", PHASES)
def test_driver_killed(phase: str, undisturbed: Ended, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    with ended(start_compression(directory, PACED, *ONE)) as process:
        wait_for(lambda: (directory / "record.json").exists() and PHASES[phase](directory), process, 400)
        kill(process, with_ray=phase != "search")
    before, beliefs = moments(directory), read_record(directory).get("beliefs", [])
    assert before
    resumed = resume_compression(directory)
    check_as_undisturbed(resumed, undisturbed)
    after = moments(directory)
    assert {name: after[name] for name in before} == before, "finished trials are not run again"
    assert read_record(directory)["beliefs"][: len(beliefs)] == beliefs, "it went on from what it believed"
    assert bool(beliefs) == (phase != "dense")
    first = resumed.error.splitlines()[0]
    assert first.startswith("Goes on after ")
    assert "Expected" not in resumed.error


def test_driver_killed_in_every_phase_one_after_the_other(undisturbed: Ended, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    process = start_compression(directory, PACED, *ONE)
    for is_there in ((directory / "sweep.yaml").exists, *(lambda at=at: at(directory) for at in PHASES.values())):  # type: ignore[misc]
        with ended(process):
            wait_for(is_there, process, 400)
            kill(process, with_ray=True)
        process = _start_resume(directory)
    with ended(process):
        output, error = process.communicate(timeout=500)
    check_as_undisturbed(Ended(directory, process.returncode, output, error), undisturbed)


def test_state_of_tune_and_results_that_are_lost(undisturbed: Ended, tmp_path: Path) -> None:
    """Nobody reads what Tune has written, and a run whose result is gone is done over, from its newest checkpoint."""
    directory = tmp_path / "out"
    with ended(start_compression(directory, PACED, *ONE)) as process:
        wait_for(lambda: (directory / "record.json").exists() and is_in_search_phase(directory), process, 400)
        kill(process, with_ray=True)
    for file in (path for path in (directory / "tune").rglob("*") if path.is_file()):
        file.write_bytes(b"")
    dense, *others, sparse = finished_trials(directory)
    flip_byte(dense / "result.json")
    shutil.rmtree(sparse)  # a dense one would be known from the cache
    before = moments(directory)
    check_as_undisturbed(resume_compression(directory), undisturbed)
    after = moments(directory)
    assert [after[path.name] for path in others] == [before[path.name] for path in others]


def _start_resume(directory: Path) -> subprocess.Popen[str]:
    variables = cache_variables(directory.parent)
    return start_rlx2("resume", str(directory), "--json", folder=directory.parent, **variables)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_with_130_and_goes_on(number: signal.Signals, undisturbed: Ended, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    with ended(start_compression(directory, PACED, *ONE)) as process:
        wait_for(lambda: (directory / "record.json").exists() and is_in_search_phase(directory), process, 400)
        interrupt(process, number, directory)
    assert parent_and_children(directory)[0].info.status == "KILLED"
    check_as_undisturbed(resume_compression(directory), undisturbed)


# Ends without an accepted network


def check_ended_by(done: Ended, words: str) -> dict[str, Any]:
    assert done.code == 0, done.error
    assert done.result["messages"] == [f"Ended by the budget of {words}: this is the best statement so far."]
    assert (done.directory / "report.html").exists()
    check_tracked(done)
    return done.result


def test_budget_of_env_steps(tmp_path: Path) -> None:
    result = check_ended_by(compress(tmp_path / "out", compress_tree(), "--max-env-steps", "6500"), "6500 env steps")
    assert (result["runs"], result["env_steps"]) == (6, 6000), "a run that would not fit is not begun"


def test_budget_of_hours(tmp_path: Path) -> None:
    """Of less than a second: it is spent before the first run ends, which still counts."""
    result = check_ended_by(compress(tmp_path / "out", compress_tree(), "--max-hours", "0.00001"), "1e-05 hours")
    assert result["ultimate"] is None
    assert result["runs"] < DENSE_SEEDS


def test_budget_of_runs_is_not_spent_again_by_a_resumed_one(tmp_path: Path) -> None:
    directory = tmp_path / "out"
    with ended(start_compression(directory, PACED, *ONE, "--max-runs", "6")) as process:
        wait_for(lambda: len(finished_trials(directory)) >= DENSE_SEEDS + 1, process, 400)
        kill(process, with_ray=True)
    result = check_ended_by(resume_compression(directory), "6 runs")
    assert result["runs"] == 6 == len(trial_names(directory))
    assert {seed["cached"] for seed in result["dense"]["seeds"]} == {False}


def test_no_network_keeps_the_return(tmp_path: Path) -> None:
    """A hundred times the dense return is not to be had."""
    done = compress(tmp_path / "out", compress_tree(compress__threshold=100))
    assert done.code == 0, done.error
    assert done.result["ultimate"] is None
    assert {decision["verdict"] for decision in done.result["decisions"]} == {"reject"}
    assert not (done.directory / "policy.safetensors").exists()
    assert read_result(done.directory)["messages"] == []


def test_policy_and_critic_apart(tmp_path: Path) -> None:
    done = compress(tmp_path / "out", compress_tree(), "--axis", "both")
    assert done.code == 0, done.error
    pairs = {(each["policy_sparsity"], each["critic_sparsity"]) for each in done.result["decisions"]}
    assert any(policy and critic for policy, critic in pairs)
    tried = {tuple(name.split("-")[:2]) for name in trial_names(done.directory) if not name.startswith("dense")}
    policies, critics = ({pair[axis] for pair in tried} for axis in range(2))
    assert len(tried) > max(len(policies), len(critics)), "one axis does not follow from the other"
    assert done.result["ultimate"]["verdict"] == "accept"
    assert "believes" not in done.error
    check_tracked(done)
