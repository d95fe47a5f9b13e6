"""The policy of the best evaluation plays again when the run ends, on episodes that the choice never saw."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.deployed import STREAM, play_deployed
from rlx2_ray.experiment.evaluation import Evaluation
from rlx2_ray.experiment.playback import playable
from rlx2_ray.experiment.run import Run
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.runs.directory import RunDirectory
from tests.support.runs import metric_histories, resume, small_config, train


def read_result(directory: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((directory / "result.json").read_text())
    return result


def played_by_hand(directory: Path, episodes: int) -> list[float]:
    """Returns of the kept policy, step by step."""
    config, _ = RunDirectory(directory).open()
    policy = playable(load_policy(directory / "best_policy.safetensors")).policy
    returns = []
    with closing(EnvLane(config.env, config.seed, STREAM)) as lane:
        for episode in range(episodes):
            lane.begin_episode(episode)
            returns.append(0.0)
            while lane.episode == episode:
                returns[-1] += lane.step(policy.action(lane.observation)).reward
    return returns


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("deployed") / "run"
    train(directory, evaluation__deployed_episodes=3)
    return directory


def test_result_has_the_returns_of_the_best_policy(finished: Path) -> None:
    result, returns = read_result(finished), played_by_hand(finished, 3)
    best = max(reversed(result["evaluations"][1:]), key=lambda point: float(point["return_mean"]))
    assert result["deployed"] == {
        "env_steps": best["env_steps"],
        "return_mean": pytest.approx(np.mean(returns)),
        "return_std": pytest.approx(np.std(returns)),
        "episodes": 3,
    }


@pytest.mark.parametrize(("method", "is_later"), [("prune", True), ("rlx2", False)])
def test_of_a_run_that_prunes_the_smallest_policies_compete(
    method: str, is_later: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With returns that only fall the first is the best; while weights go each policy is smaller than that before."""
    record = Run.record

    def falls(self: Run, env_steps: int, learner_steps: int, evaluation: Evaluation, *rest: Any) -> None:
        record(self, env_steps, learner_steps, replace(evaluation, returns=(-float(env_steps),)), *rest)

    monkeypatch.setattr(Run, "record", falls)
    config: dict[str, Any] = {"method": method, "sparsity__policy": 0.9, "topology__interval": 20}
    train(tmp_path / "run", **config, evaluation__deployed_episodes=1)
    best, last = (load_policy(tmp_path / "run" / name) for name in ("best_policy.safetensors", "policy.safetensors"))
    weights = [sum(len(layer.indices) for layer in policy.layers) for policy in (best, last)]
    assert weights[0] == weights[1]
    result, steps = read_result(tmp_path / "run"), best.about["env_steps"]
    first_trained = result["evaluations"][1]["env_steps"]
    assert (steps > first_trained) == is_later
    assert result["deployed"]["env_steps"] == steps


def test_mlflow_has_them_too(finished: Path) -> None:
    deployed = read_result(finished)["deployed"]
    tracked = metric_histories(finished)
    assert tracked["deployed/return_mean"] == [(600, pytest.approx(deployed["return_mean"]))]
    assert tracked["deployed/return_std"] == [(600, pytest.approx(deployed["return_std"]))]


def test_none_are_played_where_none_are_asked_for(tmp_path: Path) -> None:
    train(tmp_path / "run", evaluation__deployed_episodes=0)
    assert read_result(tmp_path / "run")["deployed"] is None


def test_run_that_trained_nothing_has_no_policy_to_play(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert play_deployed(small_config(), directory, pytest.fail) is None


def test_run_that_ended_under_an_earlier_version_gets_it_when_it_is_resumed(finished: Path) -> None:
    before = read_result(finished)
    without = {key: value for key, value in before.items() if key != "deployed"}
    RunDirectory(finished).write_result(without)
    resume(finished)
    assert read_result(finished) == before
