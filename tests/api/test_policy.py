"""`rlx2_ray.load_policy`: the same actions as `rlx2 evaluate` plays, in the environment's units."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import rlx2_ray
from rlx2_ray.cli.main import run as rlx2
from rlx2_ray.experiment.playback import STREAM
from rlx2_ray.export.policy_export import export_policy
from rlx2_ray.seeding import derive_seed

ENV = "InvertedPendulum-v5"


@pytest.fixture(scope="module", params=["", "policy.safetensors", ".onnx", ".c"])
def source(request: pytest.FixtureRequest, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's directory, its policy file, and its exports."""
    if not request.param.startswith("."):
        return run / request.param
    out = tmp_path_factory.mktemp("exports") / f"policy{request.param}"
    export_policy(run, request.param[1:], out, None, False, lambda text: None)
    return out


def play(policy: rlx2_ray.Policy, episode: int) -> float:
    """By hand, the episode that `rlx2 evaluate --seed 0` plays."""
    env = gymnasium.make(policy.env_id)
    observation, _ = env.reset(seed=derive_seed(0, STREAM, 0, episode))
    total, done = 0.0, False
    while not done:
        observation, reward, terminated, truncated, _ = env.step(policy(observation))
        total, done = total + float(reward), terminated or truncated
    env.close()
    return total


def test_it_plays_what_evaluate_plays(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rlx2(["evaluate", str(source), "--episodes", "2", "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    with rlx2_ray.load_policy(source) as policy:
        assert [play(policy, episode) for episode in range(2)] == expected["returns"]
        assert policy.digest == expected["policy_digest"]
        assert (policy.env_id, policy.observation_size, policy.action_size) == (ENV, 4, 1)


def test_actions_are_within_the_environments_bounds_of_3(run: Path) -> None:
    policy = rlx2_ray.load_policy(run)
    observations = np.random.default_rng(0).normal(0, 30, (100, 4))
    actions = policy(observations)
    assert actions.dtype == np.float32
    assert actions.shape == (100, 1)
    assert 1 < np.abs(actions).max() <= 3
    assert np.allclose(actions, [policy(each) for each in observations], atol=1e-5)
    assert policy(observations.reshape(4, 25, 4)).shape == (4, 25, 1)
    assert policy(observations[:1]).shape == (1, 1)
    assert policy([[0.1, 0.2], [0.3, 0.4]]).tolist() == policy([0.1, 0.2, 0.3, 0.4]).tolist()


@pytest.mark.parametrize(("observation", "words"), [([1.0, 2.0], r"\(2,\).*4 values"), ([0, 0, 0, np.nan], "finite")])
def test_what_is_no_observation_is_refused(run: Path, observation: list[float], words: str) -> None:
    with pytest.raises(rlx2_ray.BadInput, match=words):
        rlx2_ray.load_policy(run)(observation)


def test_best_is_the_policy_of_the_best_evaluation(run: Path) -> None:
    best = rlx2_ray.load_policy(run, best=True).digest
    assert best == rlx2_ray.load_policy(run / "best_policy.safetensors").digest


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(rlx2_ray.BadInput, match=r"There is no .*nowhere"):
        rlx2_ray.load_policy(tmp_path / "nowhere")
    assert rlx2(["evaluate", str(tmp_path / "nowhere")]) == 2


def test_changed_native_code_is_not_run(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "policy.c"
    export_policy(run, "c", out, None, False, lambda text: None)
    out.write_text(out.read_text() + "\n/* more */\n")
    with pytest.raises(rlx2_ray.BadInput):
        rlx2_ray.load_policy(out)
