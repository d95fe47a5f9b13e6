"""The trials of a campaign that goes on: what becomes of those that are damaged, and which results are lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.desk.mending import lost_trials, mend_trials
from rlx2_ray.sweep.planner import INDEX, make_planner
from rlx2_ray.sweep.trials.job import Job
from tests.support.campaigns import sweep_tree
from tests.support.runs import database_uri, flip_byte, train

NAME, OTHER = "00000-seed=0", "00001-seed=1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial of a sweep over two seeds."""
    folder = tmp_path_factory.mktemp("finished")
    train(folder / NAME, steps=300)
    return folder / NAME


@pytest.fixture
def job(finished: Path, tmp_path: Path) -> Job:
    shutil.copytree(finished, tmp_path / "trials" / NAME)
    planner = make_planner(parse_queue(sweep_tree({"seed": {"grid": [0, 1]}})))
    tracking = Tracking(database_uri(tmp_path), "tests", "sweep-1a2b")
    job = Job(tmp_path / "trials", tracking, tracking.uri, planner)
    directory, plan = RunDirectory(tmp_path / "trials" / NAME), planner.plan({INDEX: 0}, "")
    (directory.path / "run.json").unlink()
    directory.mend(plan.config, job.tracking_of(plan))  # it was begun by itself
    result = directory.read_result()
    assert result is not None
    directory.write_result(result)
    return job


def test_whole_trial_is_left_as_it_is(job: Job) -> None:
    said: list[str] = []
    before = {path: path.stat().st_mtime_ns for path in job.trials.rglob("*")}
    assert mend_trials(job, said.append) == {NAME}
    assert said == []
    assert {path: path.stat().st_mtime_ns for path in job.trials.rglob("*")} == before


def cut_line(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))


def change_score(file: Path) -> None:
    file.write_text(file.read_text().replace('"score": ', '"score": 1'))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("result.json", flip_byte),
        ("result.json", change_score),
        ("progress.jsonl", cut_line),
        ("progress.jsonl", flip_byte),
        ("progress.jsonl", Path.unlink),
    ],
)
def test_trial_without_a_whole_result_is_one_that_goes_on(name: str, damage: Callable[[Path], None], job: Job) -> None:
    damage(job.trials / NAME / name)
    said: list[str] = []
    assert mend_trials(job, said.append) == frozenset()
    (sentence,) = said
    assert sentence.startswith(f"{NAME} is run again from its newest checkpoint: {job.trials / NAME}")
    assert name in sentence
    assert not (job.trials / NAME / "result.json").exists()


def test_trial_of_an_archive_is_taken_from_it_again(job: Job) -> None:
    shutil.rmtree(job.trials / NAME / "checkpoints")
    (job.trials / NAME / "result.json").write_text("{")
    mend_trials(job, lambda sentence: None)
    assert not (job.trials / NAME).exists()


@pytest.mark.parametrize("name", ["config.yaml", "run.json"])
def test_what_the_sweep_knows_itself_is_written_again(name: str, job: Job) -> None:
    before = RunDirectory(job.trials / NAME).open()
    (job.trials / NAME / name).write_bytes(b"")
    assert mend_trials(job, lambda sentence: None) == {NAME}
    config, origin = RunDirectory(job.trials / NAME).open()
    assert (config, origin._replace(result_sha256=None)) == (before[0], before[1]._replace(result_sha256=None))


def test_checkpoints_without_a_configuration_are_never_removed(job: Job) -> None:
    directory = RunDirectory(job.trials / NAME)
    directory.config_file.write_text("seed: 5")
    directory._write_origin(directory._read_origin()._replace(config_sha256="of another"))
    mend_trials(job, lambda sentence: None)
    assert list(directory.checkpoints.iterdir())


def test_lost_trials_are_those_that_had_a_result(job: Job) -> None:
    record = Record("sweep", "x", "finished")
    rows = [{"name": name, "state": state} for name, state in ((NAME, "finished"), (OTHER, "finished"))]
    assert lost_trials(job.trials, {"trials": rows}, record) == [OTHER]
    assert lost_trials(job.trials, {"trials": [{"name": OTHER, "state": "stopped"}]}, record) == []
    (job.trials / NAME / "progress.jsonl").write_bytes(b"")
    assert lost_trials(job.trials, {"trials": rows}, record) == [NAME, OTHER]
    told = replace(record, history=(("ended", OTHER), ("failed", "p0.5000-c0.5000-s0")))
    assert lost_trials(job.trials, {}, told) == [OTHER]
