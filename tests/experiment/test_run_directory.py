"""The run directory: what marks it as a run, who may write, and what a rewind forgets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlx2_ray.experiment.run_directory import RunDirectory
from rlx2_ray.types import BadInput
from tests.support.runs import small_config


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "folder" / "run")


def test_created_directory_reads_back_its_configuration_and_origin(directory: RunDirectory) -> None:
    config = small_config(algo="sac")
    directory.create(config, "sqlite:////somewhere/mlflow.db", "hopper")
    read, origin = directory.open()
    assert read == config
    assert read.hash == config.hash
    assert (origin.tracking_uri, origin.experiment) == ("sqlite:////somewhere/mlflow.db", "hopper")
    assert origin.trial_key.startswith(config.hash)
    directory.close()


def test_two_runs_of_one_configuration_have_different_trial_keys(tmp_path: Path) -> None:
    keys = set()
    for name in ("first", "second"):
        directory = RunDirectory(tmp_path / name)
        directory.create(small_config(), "sqlite:////mlflow.db", "hopper")
        keys.add(directory.open()[1].trial_key)
        directory.close()
    assert len(keys) == 2


def test_created_directory_is_in_use_until_it_is_closed(directory: RunDirectory) -> None:
    directory.create(small_config(), "sqlite:////mlflow.db", "hopper")
    other = RunDirectory(directory.path)
    with pytest.raises(BadInput, match="in use"):
        other.lock()
    other.close()
    directory.close()
    other = RunDirectory(directory.path)
    other.lock()
    other.close()


def test_new_and_empty_directories_are_unused(directory: RunDirectory) -> None:
    directory.check_unused()
    directory.path.mkdir(parents=True)
    directory.check_unused()


def test_directory_with_anything_in_it_is_used(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    (directory.path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="not an empty directory"):
        directory.check_unused()


def test_rewind_keeps_the_points_up_to_an_env_step(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    for env_steps in (10, 20, 30):
        directory.append({"env_steps": env_steps, "return_mean": 0.1})
    kept = directory.rewind(20)
    assert [point["env_steps"] for point in kept] == [10, 20]
    lines = (directory.path / "progress.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == kept
    directory.append({"env_steps": 25})
    assert [point["env_steps"] for point in directory.rewind(100)] == [10, 20, 25]


def test_rewind_drops_a_line_that_was_cut_short(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    directory.append({"env_steps": 10})
    with (directory.path / "progress.jsonl").open("a") as file:
        file.write('{"env_st')
    assert directory.rewind(100) == [{"env_steps": 10}]
    directory.append({"env_steps": 20})
    assert directory.rewind(100) == [{"env_steps": 10}, {"env_steps": 20}]


def test_result_is_there_only_once_it_is_written(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    assert directory.read_result() is None
    directory.write_result({"score": 1.5})
    assert directory.read_result() == {"score": 1.5}
    assert [path.name for path in directory.path.iterdir()] == ["result.json"]
