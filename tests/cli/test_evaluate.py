"""`rlx2 evaluate`: the policy of a run, of a file, of a checkpoint; its returns and its film."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.networks.policy_file import load_policy, policy_digest
from tests.support.commands import succeeded
from tests.support.runs import RLX2, environment, flip_byte, train
from tests.support.video import read_video


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evaluate") / "run"
    train(path, steps=300)
    return path


def result_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "result.json").read_text())
    return content


def test_policy_of_a_run_is_played(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = succeeded(capsys, "evaluate", directory, "--episodes", 3)
    assert content["policy_digest"] == result_of(directory)["policy_digest"]
    assert (content["env_id"], content["episodes"], content["seed"]) == ("InvertedPendulum-v5", 3, 0)
    assert len(content["returns"]) == 3
    assert content["return_mean"] == pytest.approx(sum(content["returns"]) / 3)


def test_file_gives_the_same_as_its_directory(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_file = succeeded(capsys, "evaluate", directory / "policy.safetensors", "--episodes", 2)
    assert of_file == succeeded(capsys, "evaluate", directory, "--episodes", 2)


def test_returns_depend_on_the_seed_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run", env__id="Pendulum-v1", steps=150, evaluation__interval=1000)
    capsys.readouterr()  # its progress
    first, again = (succeeded(capsys, "evaluate", tmp_path / "run", "--seed", 7, "--episodes", 2) for _ in range(2))
    other = succeeded(capsys, "evaluate", tmp_path / "run", "--seed", 8, "--episodes", 2)
    assert first == again
    assert first["returns"] != other["returns"]
    assert first["returns"][0] != first["returns"][1]


def test_unfinished_run_is_played_from_its_newest_checkpoint(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = tmp_path / "run"
    shutil.copytree(directory, unfinished)
    (unfinished / "policy.safetensors").unlink()
    (unfinished / "result.json").unlink()
    content = succeeded(capsys, "evaluate", unfinished, "--episodes", 1)
    assert content["policy_digest"] == result_of(directory)["policy_digest"], "the last checkpoint is of the last step"
    shutil.rmtree(unfinished / "checkpoints" / "step_000000000300")
    assert succeeded(capsys, "evaluate", unfinished, "--episodes", 1)["policy_digest"] != content["policy_digest"]


def test_damaged_checkpoint_of_an_unfinished_run_is_passed_over(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = tmp_path / "run"
    shutil.copytree(directory, unfinished)
    (unfinished / "policy.safetensors").unlink()
    flip_byte(unfinished / "checkpoints" / "step_000000000300" / "arrays.safetensors")
    assert run(["evaluate", str(unfinished), "--episodes", "1", "--json"]) == 0
    output, error = capsys.readouterr()
    assert "step_000000000300 is damaged" in error
    assert json.loads(output)["policy_digest"] != result_of(directory)["policy_digest"]


def test_run_without_a_policy_yet_is_refused(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = tmp_path / "run"
    begun.mkdir()
    for name in ("config.yaml", "run.json"):
        shutil.copy(directory / name, begun)
    assert run(["evaluate", str(begun)]) == 2
    assert f"{begun} has no policy and no checkpoint yet" in capsys.readouterr().err


def test_damaged_policy_file_is_refused(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(directory / "policy.safetensors", tmp_path)
    content = bytearray((tmp_path / "policy.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "policy.safetensors").write_bytes(content)
    assert run(["evaluate", str(tmp_path / "policy.safetensors")]) == 2
    error = capsys.readouterr().err
    assert "is damaged" in error
    assert error.count("\n") == 1


def test_best_policy_of_a_run(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best, of_file = (
        succeeded(capsys, "evaluate", directory, "--episodes", 2, "--best"),
        succeeded(capsys, "evaluate", directory / "best_policy.safetensors", "--episodes", 2),
    )
    assert best == of_file
    assert best["policy_digest"] == policy_digest(load_policy(directory / "best_policy.safetensors").layers)


@pytest.mark.parametrize("name", ["policy.safetensors", "policy.onnx", "policy.c"])
def test_file_has_no_best_policy(
    name: str, directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(directory / "policy.safetensors", tmp_path / name)
    assert run(["evaluate", str(tmp_path / name), "--best"]) == 2
    sentence = f"rlx2: --best is for a run's directory, and {tmp_path / name} is a file: leave it out.\n"
    assert capsys.readouterr().err == sentence


def test_run_without_an_evaluation_has_no_best_policy(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(directory, tmp_path / "run")
    (tmp_path / "run" / "best_policy.safetensors").unlink()
    assert run(["evaluate", str(tmp_path / "run"), "--best"]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 'run' / 'best_policy.safetensors'} is not there: let the run reach an evaluation" in error


def test_people_get_a_sentence(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(directory), "--episodes", "2"]) == 0
    output, _ = capsys.readouterr()
    assert output.startswith("InvertedPendulum-v5: return ")
    assert output.endswith(" over 2 episodes\n")


def test_video_is_an_mp4_file(directory: Path, tmp_path: Path) -> None:
    renderer = working_renderer()
    video = tmp_path / "film.mp4"
    process = play_with_video(directory, video, renderer)
    assert process.returncode == 0, process.stderr
    content = json.loads(process.stdout.splitlines()[-1])
    assert content["video"] == str(video)
    frames = read_video(video).frames.astype(int)
    assert len(frames) == content["returns"][0] + 1, "every step has a reward of 1 but the last"
    assert all(frame.shape == (480, 480, 3) and frame.std() > 10 for frame in frames), "there is something to see"
    assert np.abs(frames[0] - frames[-1]).max() > 50, "and it moves"


@pytest.mark.parametrize("renderer", ["osmesa", "nonsense"])
def test_renderer_that_does_not_work_is_one_sentence(renderer: str, directory: Path, tmp_path: Path) -> None:
    if renderer == "osmesa" and can_render(renderer):
        pytest.skip("OSMesa works here")
    process = play_with_video(directory, tmp_path / "film.mp4", renderer)
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert "MUJOCO_GL" in process.stderr
    assert renderer in process.stderr
    assert not (tmp_path / "film.mp4").exists()


def play_with_video(directory: Path, video: Path, renderer: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(RLX2), "evaluate", str(directory), "--episodes", "1", "--video", str(video), "--json"],
        env=environment() | {"MUJOCO_GL": renderer},
        capture_output=True,
        text=True,
    )


def working_renderer() -> str:
    """Of those that need no screen; skips the test where there is none."""
    for renderer in ("egl", "osmesa"):
        if can_render(renderer):
            return renderer
    pytest.skip("neither EGL nor OSMesa can draw on this machine")


def can_render(renderer: str) -> bool:
    program = (
        "import gymnasium; e = gymnasium.make('InvertedPendulum-v5', render_mode='rgb_array'); e.reset(); e.render()"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], env=environment() | {"MUJOCO_GL": renderer}, capture_output=True
    )
    return process.returncode == 0
