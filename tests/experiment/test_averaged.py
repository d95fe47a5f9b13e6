"""Runs whose evaluated policy is a moving average: it is what is kept and played, and they resume to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from rlx2_ray.config import dense_counterpart
from rlx2_ray.experiment.playback import find_policy
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.networks.policy_weights import AVERAGE
from rlx2_ray.networks.sparse_layer import Layers, from_arrays
from rlx2_ray.runs.checkpoint import ARRAYS
from tests.support.checkpoints import newest
from tests.support.resumed import check_resumes_alike, leave_checkpoints
from tests.support.runs import Changes, small_config, train

RUN: Changes = {"policy__average": 40, "steps": 300, "checkpoint__interval": 100, "checkpoint__keep": 9}
LEFT = "step_000000000100"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("averaged") / "run"
    train(directory, **RUN)
    return directory


def weights(layers: Layers) -> list[bytes]:
    return [each.weights.tobytes() for each in layers]


def test_the_average_is_what_is_kept_and_played(whole: Path, tmp_path: Path) -> None:
    arrays = load_file(newest(whole) / ARRAYS)
    average, trained = (weights(from_arrays(arrays, name)) for name in (AVERAGE, "policy"))
    assert weights(load_policy(whole / "policy.safetensors").layers) == average != trained
    unfinished = shutil.copytree(whole, tmp_path / "run")
    (unfinished / "policy.safetensors").unlink()
    assert weights(find_policy(unfinished, pytest.fail).layers) == average


def test_a_run_resumes_to_the_bit(whole: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(whole, tmp_path / "run")
    leave_checkpoints(directory, LEFT)
    check_resumes_alike(directory, whole)


def test_the_dense_arm_has_it_too() -> None:
    assert dense_counterpart(small_config(**RUN)).policy.average == 40


def test_without_it_a_run_has_the_name_that_it_had() -> None:
    assert "policy" not in small_config().canonical()
    assert small_config(**RUN).hash != small_config(**RUN | {"policy__average": 0}).hash


@pytest.mark.slow
def test_on_actors(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    train(directory, **RUN, runtime__kind="actors")
    average = weights(from_arrays(load_file(newest(directory) / ARRAYS), AVERAGE))
    assert weights(load_policy(directory / "policy.safetensors").layers) == average
