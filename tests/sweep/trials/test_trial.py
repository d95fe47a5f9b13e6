"""A trial as Tune drives it, here in this process: its results, and how it goes on from where it, or another, was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from rlx2_ray.config import Tree
from rlx2_ray.distributed import launch
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.networks.policy_weights import AVERAGE
from rlx2_ray.networks.sparse_layer import from_arrays
from rlx2_ray.runs import archive
from rlx2_ray.runs.checkpoint import ARRAYS
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.planner import INDEX, make_planner
from rlx2_ray.sweep.trials import opening
from rlx2_ray.sweep.trials.job import Job
from rlx2_ray.sweep.trials.reports import FINAL
from rlx2_ray.sweep.trials.trial import SweepTrial
from rlx2_ray.types import BadInput
from tests.support.campaigns import read_result, sweep_tree
from tests.support.checkpoints import newest
from tests.support.runs import checkpoint_names, database_uri, evaluated_steps, read_points, tracked_runs, train

RATE = "agent.learning_rate"
PBT: Tree = {
    "seeds": 2,
    "scheduler": {
        "name": "pbt",
        "perturbation_interval": 100,
        "hyperparam_mutations": {RATE: {"loguniform": [1e-4, 1e-2]}},
    },
}
ONE, TWO = "00000-seed=0", "00001-seed=1"


class Driver:
    """Makes trials of one sweep in a folder, and lets go of them at the end."""

    def __init__(self, folder: Path, tree: Tree) -> None:
        self.trials = folder / "trials"
        queue = parse_queue(tree)
        tracking = Tracking(database_uri(folder), "tests", "sweep-1a2b")
        self._job = Job(self.trials, tracking, tracking.uri, make_planner(queue), archive=queue.archive)
        self._made: list[SweepTrial] = []

    def trial(self, index: int, **sampled: Any) -> SweepTrial:
        """As Tune makes it in an actor."""
        job = self._job

        class Direct(SweepTrial):
            trial_id = f"1a2b_{index:05}"

            def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
                super().setup(config, job)

        made = Direct({INDEX: index, **sampled})
        self._made.append(made)
        return made

    def directory(self, name: str) -> Path:
        return self.trials / name

    def mlflow_run(self, name: str) -> Any:
        (run,) = [run for run in tracked_runs(self.trials) if run.data.tags.get("rlx2.trial") == name]
        return run

    def close(self) -> None:
        for made in self._made:
            made.stop()


MakeDriver = Callable[[Tree], Driver]


@pytest.fixture
def make_driver(tmp_path: Path) -> Iterator[MakeDriver]:
    made: list[Driver] = []

    def make(tree: Tree) -> Driver:
        made.append(Driver(tmp_path, tree))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


@pytest.fixture
def driver(make_driver: MakeDriver) -> Driver:
    """Of a sweep over two seeds, whose trials have 300 steps, evaluations each 100 and checkpoints each 170."""
    return make_driver(sweep_tree({"seed": {"grid": [0, 1]}}))


def to_the_end(trial: SweepTrial) -> list[dict[str, Any]]:
    """All results from now on."""
    results = [trial.train()]
    while not results[-1].get("done"):
        results.append(trial.train())
    return results


def steps(results: list[dict[str, Any]]) -> list[int]:
    return [result["env_steps"] for result in results]


def test_reports_every_evaluation_and_ends_with_the_last(driver: Driver, tmp_path: Path) -> None:
    results = to_the_end(driver.trial(1))
    assert steps(results) == [100, 200, 300]
    assert [bool(result.get("done")) for result in results] == [False, False, True]
    assert [result["return_mean"] for result in results] == [
        point["return_mean"] for point in read_points(driver.directory(TWO))
    ]
    undisturbed = train(tmp_path / "undisturbed", steps=300, seed=1)
    assert read_result(driver.directory(TWO))["policy_digest"] == undisturbed["policy_digest"]


def test_score_is_that_of_the_evaluations_so_far(driver: Driver) -> None:
    results = to_the_end(driver.trial(0))
    returns = [point["return_mean"] for point in read_points(driver.directory(ONE))]
    assert [result["score"] for result in results] == pytest.approx(
        [sum(returns[:count]) / count for count in (1, 2, 3)]
    )


def test_points_on_file_are_read_but_once(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    trial, read, readings = driver.trial(0), RunDirectory.read_points, []
    monkeypatch.setattr(RunDirectory, "read_points", lambda directory: readings.append(directory) or read(directory))
    assert len(to_the_end(trial)) == 3
    assert len(readings) == 1


def test_last_report_has_what_is_known_at_the_end(driver: Driver) -> None:
    *_, last = to_the_end(driver.trial(0))
    result = read_result(driver.directory(ONE))
    assert {key: last[key] for key in FINAL} == {key: result[key] for key in FINAL}
    assert result["mlflow_run_id"] == driver.mlflow_run(ONE).info.run_id


def test_run_says_which_trial_of_which_sweep_it_is(driver: Driver) -> None:
    to_the_end(driver.trial(1))
    run = driver.mlflow_run(TWO)
    assert run.info.status == "FINISHED"
    assert {key: run.data.tags[key] for key in ("rlx2.trial_key", "rlx2.trial", "rlx2.purpose", "rlx2.seed")} == {
        "rlx2.trial_key": f"sweep-1a2b-{TWO}",
        "rlx2.trial": TWO,
        "rlx2.purpose": "trial",
        "rlx2.seed": "1",
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [pytest.param(1, [100, 200, 300], id="no checkpoint yet"), pytest.param(2, [200, 300], id="checkpoint at 170")],
)
def test_goes_on_from_its_directory(before: int, after: list[int], driver: Driver, tmp_path: Path) -> None:
    first = driver.trial(0)
    for _ in range(before):
        first.train()
    first.stop()
    run_id = driver.mlflow_run(ONE).info.run_id
    assert driver.mlflow_run(ONE).info.status == "KILLED"

    results = to_the_end(driver.trial(0))
    assert steps(results) == after
    assert evaluated_steps(driver.directory(ONE)) == [100, 200, 300]
    returns = [point["return_mean"] for point in read_points(driver.directory(ONE))]
    first = after[0] // 100
    assert results[0]["score"] == pytest.approx(sum(returns[:first]) / first), "of those before it was stopped too"
    assert read_result(driver.directory(ONE))["policy_digest"] == train(tmp_path / "whole", steps=300)["policy_digest"]
    assert (driver.mlflow_run(ONE).info.run_id, driver.mlflow_run(ONE).info.status) == (run_id, "FINISHED")


def test_finished_trial_only_says_again_what_it_came_to(driver: Driver) -> None:
    *_, last = to_the_end(driver.trial(0))
    before = {path: path.stat().st_mtime_ns for path in driver.directory(ONE).rglob("*") if path.name != "run.lock"}
    (again,) = to_the_end(driver.trial(0))
    assert {key: again[key] for key in (*FINAL, "return_mean")} == {key: last[key] for key in (*FINAL, "return_mean")}
    after = {path: path.stat().st_mtime_ns for path in driver.directory(ONE).rglob("*") if path.name != "run.lock"}
    assert {path.name for path in after.keys() - before.keys()} <= {"log.txt"}
    assert {path: after[path] for path in before} == before


def test_directory_that_had_not_become_a_run_is_begun_anew(driver: Driver) -> None:
    driver.directory(ONE).mkdir(parents=True)
    (driver.directory(ONE) / ".config.yaml.0a1b2c3d.unfinished").write_text("steps:")
    assert steps(to_the_end(driver.trial(0))) == [100, 200, 300]


def test_process_is_used_for_another_trial(driver: Driver) -> None:
    trial = driver.trial(0)
    trial.train()
    trial.trial_id = "1a2b_00001"  # Tune sets it before
    assert trial.reset_config({INDEX: 1})
    assert steps(to_the_end(trial)) == [100, 200, 300]
    assert yaml.safe_load((driver.directory(TWO) / "config.yaml").read_text())["seed"] == 1
    assert (driver.mlflow_run(ONE).info.status, driver.mlflow_run(TWO).info.status) == ("KILLED", "FINISHED")
    assert evaluated_steps(driver.directory(ONE)) == [100]


def test_trial_whose_directory_is_in_use_says_so(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LOCK_WAIT_S", 0.1)
    first = driver.trial(0)
    first.train()
    with pytest.raises(BadInput, match="in use by another process"):
        driver.trial(0).train()


# Runs that are archived


@pytest.fixture
def archived(tmp_path: Path) -> Path:
    """An archive of the run that the trial with seed 1 would make, and what it came to."""
    run = tmp_path / "elsewhere"
    train(run, steps=300, seed=1)
    archive.add(run, tmp_path / "archive")
    return run


def training_forbidden(*arguments: object) -> Any:
    raise AssertionError("it trained")


def test_archived_run_is_not_run_again(
    archived: Path, make_driver: MakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "train", training_forbidden)
    driver = make_driver({**sweep_tree({"seed": {"grid": [0, 1]}}), "archive": str(tmp_path / "archive")})
    (result,) = to_the_end(driver.trial(1))
    before, after = read_result(archived), read_result(driver.directory(TWO))
    assert {key for key in before if after[key] != before[key]} == {"mlflow_run_id", "checkpoint"}
    assert (result["score"], result["env_steps"]) == (before["score"], 300)
    assert not (tmp_path / "restoring" / TWO).exists()
    run = driver.mlflow_run(TWO)
    assert (run.info.run_id, run.info.status) == (after["mlflow_run_id"], "FINISHED")
    assert run.data.metrics["score"] == before["score"]
    assert run.data.tags["rlx2.archived"].startswith("InvertedPendulum-v5-td3-")
    with pytest.raises(AssertionError, match="it trained"):
        to_the_end(driver.trial(0))


def test_restoring_that_was_killed_is_done_over(archived: Path, make_driver: MakeDriver, tmp_path: Path) -> None:
    (tmp_path / "restoring" / TWO).mkdir(parents=True)
    (tmp_path / "restoring" / TWO / "config.yaml").write_text("half")
    driver = make_driver({**sweep_tree({"seed": {"grid": [0, 1]}}), "archive": str(tmp_path / "archive")})
    (result,) = to_the_end(driver.trial(1))
    assert result["score"] == read_result(archived)["score"]


def test_trial_that_had_begun_goes_on_whatever_the_archive_has(
    archived: Path, make_driver: MakeDriver, tmp_path: Path
) -> None:
    begun = make_driver(sweep_tree({"seed": {"grid": [0, 1]}})).trial(1)
    begun.train()
    begun.stop()
    driver = make_driver({**sweep_tree({"seed": {"grid": [0, 1]}}), "archive": str(tmp_path / "archive")})
    assert steps(to_the_end(driver.trial(1))) == [100, 200, 300]


# Population-based training


@pytest.fixture
def population(make_driver: MakeDriver) -> Driver:
    return make_driver(sweep_tree({}, PBT, seed=None))


def copy(source: SweepTrial, target: SweepTrial, folder: Path, sampled: dict[str, Any]) -> None:
    """As PBT does: the state and the changed configuration of another trial, whose number comes with it."""
    folder.mkdir()
    source.save_checkpoint(str(folder))
    assert target.reset_config(sampled)
    target.load_checkpoint(str(folder))


def test_copied_trial_goes_on_from_the_other_ones_state(population: Driver, tmp_path: Path) -> None:
    one, two = population.trial(0, **{RATE: 1e-3}), population.trial(1, **{RATE: 5e-3})
    for trial, evaluations in ((one, 2), (two, 1)):
        for _ in range(evaluations):
            trial.train()
    before = population.mlflow_run(TWO).info.run_id
    copy(one, two, tmp_path / "copy", {INDEX: 0, RATE: 2e-3})

    directory = population.directory(TWO)
    assert checkpoint_names(directory) == ["step_000000000200"]
    assert read_points(directory) == read_points(population.directory(ONE))
    config = yaml.safe_load((directory / "config.yaml").read_text())
    assert (config["agent"]["learning_rate"], config["seed"]) == (2e-3, 1)
    assert steps(to_the_end(two)) == [300]
    assert evaluated_steps(directory) == [100, 200, 300]
    run = population.mlflow_run(TWO)
    assert (run.info.run_id, run.info.status) == (before, "FINISHED")
    RunDirectory(directory).open()  # is in order

    assert steps(to_the_end(one)) == [300], "the other one is not disturbed"


def test_changed_learning_rate_has_an_effect(population: Driver, tmp_path: Path) -> None:
    one = population.trial(0, **{RATE: 1e-3})
    one.train()
    digests = {}
    for name, rate in (("same", 1e-3), ("again", 1e-3), ("other", 8e-3)):
        two = population.trial(1, **{RATE: rate})
        copy(one, two, tmp_path / name, {INDEX: 0, RATE: rate})
        to_the_end(two)
        digests[name] = read_result(population.directory(TWO))["policy_digest"]
        two.stop()
    assert digests["same"] == digests["again"] != digests["other"]


def test_copied_trial_has_the_average_and_what_other_switches_keep(make_driver: MakeDriver, tmp_path: Path) -> None:
    switches: Tree = {"policy__average": 40, "network__rescaled": "both", "topology__growth_batches": 3}
    population = make_driver(sweep_tree({}, PBT, seed=None, **switches))
    one, two = population.trial(0, **{RATE: 1e-3}), population.trial(1, **{RATE: 5e-3})
    one.train()
    two.train()
    copy(one, two, tmp_path / "copy", {INDEX: 0, RATE: 2e-3})
    given, taken = (load_file(newest(population.directory(each)) / ARRAYS) for each in (ONE, TWO))
    assert {name: each.tobytes() for name, each in given.items()} == {
        name: each.tobytes() for name, each in taken.items()
    }
    to_the_end(two)
    average = from_arrays(load_file(newest(population.directory(TWO)) / ARRAYS), AVERAGE)
    kept = load_policy(population.directory(TWO) / "policy.safetensors").layers
    assert [layer.weights.tobytes() for layer in kept] == [layer.weights.tobytes() for layer in average]
    assert not np.array_equal(average[0].weights, from_arrays(given, AVERAGE)[0].weights)


def test_finished_trial_that_is_given_an_earlier_state_runs_again(population: Driver, tmp_path: Path) -> None:
    one, two = population.trial(0, **{RATE: 1e-3}), population.trial(1, **{RATE: 1e-3})
    to_the_end(two)
    one.train()
    copy(one, two, tmp_path / "copy", {INDEX: 0, RATE: 1e-3})
    assert not (population.directory(TWO) / "result.json").exists()
    assert not (population.directory(TWO) / "best_policy.safetensors").exists(), "one has not learned yet"
    assert steps(to_the_end(two)) == [200, 300]


def test_checkpoint_is_there_whenever_pbt_may_ask_for_one(population: Driver, tmp_path: Path) -> None:
    one = population.trial(0, **{RATE: 1e-3})
    for env_steps in (100, 200):
        one.train()
        folder = tmp_path / str(env_steps)
        folder.mkdir()
        one.save_checkpoint(str(folder))
        assert (folder / f"step_{env_steps:012}").is_dir()


def test_trial_that_is_given_another_s_state_has_its_best_policy(population: Driver, tmp_path: Path) -> None:
    one, two = population.trial(0, **{RATE: 1e-3}), population.trial(1, **{RATE: 1e-3})
    to_the_end(two)
    one.train()
    one.train()
    copy(one, two, tmp_path / "copy", {INDEX: 0, RATE: 1e-3})
    best = [population.directory(each) / "best_policy.safetensors" for each in (ONE, TWO)]
    assert best[0].read_bytes() == best[1].read_bytes()


def test_directory_that_adopts_may_not_be_worked_on(population: Driver) -> None:
    one = population.trial(0, **{RATE: 1e-3})
    one.train()
    with closing(RunDirectory(population.directory(ONE))) as other, pytest.raises(BadInput, match="in use"):
        other.lock()
