"""Runs on normalised observations: their statistics, that they resume to the bit, and what plays them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.config import resolve
from rlx2_ray.experiment.playback import find_policy
from rlx2_ray.networks.policy_file import load_policy, policy_digest
from rlx2_ray.runs.checkpoint import DamagedCheckpoint, read_checkpoint
from rlx2_ray.types import BadInput
from tests.envs.dict_envs import SCALED
from tests.support.checkpoints import alter_arrays, alter_values, form_of, newest
from tests.support.resumed import check_resumes_alike, leave_checkpoints
from tests.support.runs import resume, small_config, train

RUN = {"env__id": SCALED, "agent__normalize_observations": True, "steps": 300, "checkpoint__interval": 100}
RUN |= {"checkpoint__keep": 9, "replay__min_capacity": 300, "network__hidden": [8, 8], "evaluation__interval": 50}
LEFT = "step_000000000100"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("normalized") / "run"
    train(directory, **RUN)
    return directory


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    capsys.readouterr()
    assert run([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def observations_of(directory: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> np.ndarray:
    said(capsys, "export", directory, "--format", "parquet", "--out", out)
    column = pq.read_table(out)["observation"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def test_statistics_are_those_of_all_raw_observations(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observations = observations_of(whole, tmp_path / "replay.parquet", capsys)
    checkpoint = read_checkpoint(newest(whole), form_of(whole))
    assert len(observations) == checkpoint.values["learner"]["observed"] == 300
    assert np.ptp(observations[:, 0]) > 50, "raw, in the replay"
    mean, squares = checkpoint.arrays["observed.mean"], checkpoint.arrays["observed.squares"]
    assert np.allclose(mean, observations.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert np.allclose(squares / 300, observations.var(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-12)
    normalization = load_policy(whole / "policy.safetensors").normalization
    assert normalization is not None
    assert normalization.mean.tolist() == np.float32(mean).tolist()
    assert normalization.scale.tolist() == pytest.approx([1 / np.sqrt(v + 1e-8) for v in squares[:2] / 300] + [1])


def test_a_run_resumes_to_the_bit(whole: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(whole, tmp_path / "run")
    leave_checkpoints(directory, LEFT)
    check_resumes_alike(directory, whole)
    assert newest(directory).name > LEFT
    for name in ("policy.safetensors", "best_policy.safetensors"):
        policies = [load_policy(each / name) for each in (whole, directory)]
        assert policy_digest(*policies[0].weights) == policy_digest(*policies[1].weights)
        assert policies[0].about == policies[1].about


def test_the_best_policy_keeps_the_statistics_of_its_moment(whole: Path, tmp_path: Path) -> None:
    best = load_policy(whole / "best_policy.safetensors")
    directory = shutil.copytree(whole, tmp_path / "run")
    for name in ("result.json", "policy.safetensors", "best_policy.safetensors"):
        (directory / name).unlink()
    resume(directory)
    again = load_policy(directory / "best_policy.safetensors")
    assert best.normalization is not None
    assert again.normalization is not None
    assert [each.tolist() for each in again.normalization] == [each.tolist() for each in best.normalization]


def test_a_checkpoint_plays_as_the_finished_policy_does(whole: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(whole, tmp_path / "run")
    (directory / "policy.safetensors").unlink()
    found, finished = (find_policy(each, pytest.fail).weights for each in (directory, whole))
    assert found.normalization is not None
    assert finished.normalization is not None
    assert [each.tolist() for each in found.normalization] == [each.tolist() for each in finished.normalization]


def test_every_form_plays_the_same(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    played = [said(capsys, "evaluate", whole, "--episodes", 3)["returns"]]
    for kind in ("safetensors", "onnx", "c"):
        exported = said(capsys, "export", whole, "--format", kind, "--out", tmp_path / f"policy.{kind}")
        assert exported["check"]["max_difference"] < 1e-5
        played.append(said(capsys, "evaluate", exported["path"], "--episodes", 3)["returns"])
    assert np.allclose(played, played[0], atol=1e-4)
    rounded = said(capsys, "export", whole, "--format", "c", "--int16", "--out", tmp_path / "rounded.c")
    assert rounded["check"]["max_difference"] < 1e-5
    assert rounded["int16"]["return_after"] == pytest.approx(rounded["int16"]["return_before"], abs=0.5)


def test_it_learns_what_it_cannot_see_otherwise(tmp_path: Path) -> None:
    raw, normalized = (
        train(tmp_path / str(on), **{**RUN, "agent__normalize_observations": on, "steps": 600})["score"]
        for on in (False, True)
    )
    assert normalized > raw + 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"observed.squares": np.full(3, -1.0)}, "observed is beyond"),
        ({"observed.mean": np.full(3, 1e30)}, "observed is beyond"),
        ({"observed.mean": np.full(3, np.nan)}, "observed is beyond"),
        ({"observed.mean": np.zeros(3, np.float32)}, "observed.mean is float32"),
        ({"observed.mean": np.zeros(4)}, "observed.mean is float64"),
        ({"observed.more": np.zeros(3)}, "observed.more should not be there"),
        ({"best_policy.observation.scale": np.zeros(3, np.float32)}, "no training comes to"),
        ({"best_policy.observation.mean": np.full(3, np.inf, np.float32)}, "no training comes to"),
    ],
)
def test_altered_statistics_are_refused(whole: Path, tmp_path: Path, changes: Any, problem: str) -> None:
    directory = shutil.copytree(whole, tmp_path / "run")
    alter_arrays(newest(directory), lambda arrays: arrays.update(changes))
    with pytest.raises(DamagedCheckpoint, match=problem):
        read_checkpoint(newest(directory), form_of(directory))


@pytest.mark.parametrize("count", [None, -1, 1.5, "many"])
def test_an_altered_count_is_refused(whole: Path, tmp_path: Path, count: Any) -> None:
    directory = shutil.copytree(whole, tmp_path / "run")
    alter_values(newest(directory), lambda values: values["learner"].update(observed=count))
    with pytest.raises(DamagedCheckpoint, match=r"observed"):
        read_checkpoint(newest(directory), form_of(directory))


def test_the_key_is_true_or_false_and_off() -> None:
    assert not small_config().agent.normalize_observations
    assert "normalize_observations" not in small_config().canonical()["agent"]
    assert small_config(agent__normalize_observations=True).hash != small_config().hash
    for value in (1, "yes", None):
        with pytest.raises(BadInput, match=r"^agent\.normalize_observations is .*boolean"):
            small_config(agent__normalize_observations=value)
    with pytest.raises(BadInput, match=r"^agent\.batch_size is True: true and false are no values of this key"):
        small_config(agent__batch_size=True)


def test_an_experts_critics_know_other_observations() -> None:
    expert = {"method": "rigl_qstar", "target": {"expert": "/runs/x"}, "agent": {"normalize_observations": True}}
    with pytest.raises(BadInput, match=r"^agent\.normalize_observations is true but target\.expert is given"):
        resolve(expert)
