"""Episodes that never end: evaluations cut them and say so, and a wish to stop is heard at every env step."""

from __future__ import annotations

import re
import signal
import time
from contextlib import closing
from pathlib import Path

import gymnasium
import pytest
from gymnasium.wrappers import TimeLimit

from rlx2_ray.cli.main import run
from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment import evaluation as module
from rlx2_ray.experiment.evaluation import evaluate, evaluation_steps
from rlx2_ray.experiment.random_policy import random_score
from rlx2_ray.types import Interrupted, Spaces
from tests.envs.environments import LIMITED, TIME_LIMIT
from tests.experiment.test_evaluation import random_policy
from tests.support.runs import (
    Changes,
    checkpoint_names,
    ended,
    evaluated_steps,
    resume,
    small_config,
    start_rlx2,
    start_train,
    tracked_run,
    train,
    wait_for,
)
from tests.support.strange_envs import MODULE

ENDLESS = f"{MODULE}:Endless-v0"
CUT: Changes = {"env.id": ENDLESS, "steps": 200, "evaluation.max_episode_steps": 70}
SAID = r"1 of 1 evaluation episodes were cut after 70 steps, and count as far as they went \(evaluation.max_episode_st"


def endless_lane() -> EnvLane:
    return EnvLane(EnvConfig(id=ENDLESS), 0, "evaluation")


def test_episodes_are_cut_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = train(tmp_path / "run", **CUT)
    assert result["env_steps"] == 200
    error = capsys.readouterr().err
    assert len(re.findall(SAID, error)) == 2, "of the evaluations"
    assert "2 of 2 evaluation episodes were cut after 70 steps" in error, "of the deployed policy"


def test_environment_without_a_limit_has_one_in_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNLIMITED_STEPS", 30)
    with closing(endless_lane()) as lane:
        cut = evaluate(random_policy(2, 1), lane, 3, 0)
        assert (cut.cut, cut.limit, lane.episode_steps) == (3, 30, 30)
        assert evaluate(random_policy(2, 1), lane, 3, 0) == cut, "the same episodes again"
    limited = EnvLane(EnvConfig(id=LIMITED), 0, "evaluation")
    assert evaluate(random_policy(4, 2), limited, 2, 0).cut == 0
    assert evaluate(random_policy(4, 2), limited, 2, 0, max_episode_steps=TIME_LIMIT).warning is None
    assert evaluate(random_policy(4, 2), limited, 2, 0, max_episode_steps=2).returns == (3.0, 3.0)


def test_limit_counts_where_a_run_is_forecast() -> None:
    with closing(endless_lane()) as lane:
        config = small_config(**CUT)
        assert evaluation_steps(config, lane.env) == 70 * (2 + config.evaluation.deployed_episodes)
        said: list[str] = []
        assert random_score(config, Spaces(2, 1, (-1.0,), (1.0,)), said.append) < 0
        assert [line.partition(", and")[0] for line in said] == [
            "Random actions: 100 of 100 evaluation episodes were cut after 70 steps"
        ]


def test_limit_of_a_wrapper_counts_without_a_registration() -> None:
    own = TimeLimit(gymnasium.make(ENDLESS).unwrapped, 70)
    own.unwrapped.spec = None
    config = small_config(evaluation__episodes=1, steps=200, evaluation__interval=100)
    assert evaluation_steps(config, own) == 70 * (2 + config.evaluation.deployed_episodes)


def test_limit_that_is_none_leaves_identities_as_they_were() -> None:
    config, cut = small_config(), small_config(evaluation__max_episode_steps=70)
    assert "max_episode_steps" not in config.canonical()["evaluation"]
    assert cut.canonical()["evaluation"]["max_episode_steps"] == 70
    assert cut.hash != config.hash


@pytest.mark.parametrize(
    ("step", "changes", "checkpoint"),
    [
        (1000, {"evaluation.max_episode_steps": 10**6}, 100),
        (300, {"evaluation.deployed_episodes": 5}, 200),
        (120, {"evaluation.interval": 200}, 120),
    ],
    ids=["evaluation", "deployed policy", "training"],
)
def test_ctrl_c_is_heard_at_every_env_step(step: int, changes: Changes, checkpoint: int, tmp_path: Path) -> None:
    directory, file = tmp_path / "run", tmp_path / "press"
    env = {"env.kwargs": {"step": step, "file": str(file)}}
    file.touch()
    with pytest.raises(Interrupted, match=rf"^Stopped; 'rlx2 resume {directory}' goes on\.$"):
        train(directory, **CUT | env | changes)
    assert not file.exists()
    assert checkpoint_names(directory)[-1] == f"step_{checkpoint:012}"
    assert tracked_run(directory).info.status == "KILLED"


def test_interrupted_evaluation_is_made_again(tmp_path: Path) -> None:
    directory, file = tmp_path / "run", tmp_path / "press"
    file.touch()
    changes = CUT | {"env.kwargs": {"step": 30, "file": str(file)}, "evaluation.interval": 20, "steps": 110}
    with pytest.raises(Interrupted):
        train(directory, **changes)
    assert (evaluated_steps(directory), checkpoint_names(directory)) == ([], ["step_000000000020"])
    resumed = resume(directory)
    assert evaluated_steps(directory) == [20, 40, 60, 80, 100, 110]
    undisturbed = train(tmp_path / "undisturbed", **changes)
    assert (resumed["policy_digest"], resumed["evaluations"]) == (
        undisturbed["policy_digest"],
        undisturbed["evaluations"],
    )


def test_second_ctrl_c_says_what_there_is(tmp_path: Path) -> None:
    """The first is heard at the end of an env step, which does not come."""
    directory = tmp_path / "run"
    hanging = {"env.id": f"{MODULE}:Hanging-v0", "env.kwargs": {"step": 250}, "steps": 500}
    with ended(start_train(directory, **hanging)) as process:
        wait_for(lambda: evaluated_steps(directory) == [100, 200], process)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    last = f"rlx2: Ended at once: 'rlx2 resume {directory}' goes on from step_000000000170."
    assert error.splitlines()[-1] == last
    assert tracked_run(directory).info.status == "KILLED"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("endless") / "run"
    train(directory, **CUT | {"evaluation.deployed_episodes": 0})
    return directory / "policy.safetensors"


def test_evaluate_cuts_episodes_and_says_so(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(policy), "--episodes", "3", "--max-episode-steps", "40"]) == 0
    assert "3 of 3 evaluation episodes were cut after 40 steps" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_evaluate_ends_at_a_signal(number: signal.Signals, policy: Path) -> None:
    arguments = ["evaluate", str(policy), "--max-episode-steps", str(10**9)]
    with ended(start_rlx2(*arguments, folder=policy.parent)) as process:
        time.sleep(4)
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, "rlx2: Interrupted.\n")
