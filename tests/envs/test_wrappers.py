"""Repeated actions, time limits, and observations of several parts made flat, wherever an environment is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.config import EnvConfig, resolve
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import make_env, probe, probe_spaces
from rlx2_ray.experiment.evaluation import evaluation_steps
from rlx2_ray.experiment.random_policy import random_score
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.types import BadInput
from tests.envs.dict_envs import LIMIT, NESTED, VAST, WORDS
from tests.envs.environments import TOY
from tests.support.commands import succeeded
from tests.support.runs import small_config, train

ORDER = [("goal", 1), ("state.0", 2), ("state.1.image", 4), ("state.1.speed", 1), ("zone", 3)]  # alphabetical


def lane_of(env_id: str = NESTED, **fields: object) -> EnvLane:
    return EnvLane(EnvConfig.model_validate({"id": env_id, **fields}), 0, "environment")


def action(value: float) -> np.ndarray:
    return np.array([value], np.float32)


def test_parts_are_flat_in_the_order_of_the_space() -> None:
    spaces, parts = probe(EnvConfig(id=NESTED))
    assert parts == ORDER
    assert spaces.observation_size == 11 == sum(size for _, size in ORDER)
    step = lane_of().step(action(-1))
    goal, *place, _, _, _, image, speed = step.next_observation[:8].tolist()
    assert (goal, place[1], image, speed) == (1, 1, 1, pytest.approx(-0.1))
    assert step.next_observation[8:].tolist() == ([1, 0, 0] if place[0] <= -1 else [0, 1, 0])  # one of three zones


def test_a_box_of_any_shape_stays_as_it_is() -> None:
    assert probe(EnvConfig(id=TOY))[1] == []
    assert not type(make_env(EnvConfig(id=TOY))).__name__.startswith("Flatten")


@pytest.mark.parametrize(
    ("env_id", "problem"), [(VAST, "have 1000000000000 numbers when they are flat"), (WORDS, "are Dict.*choose one")]
)
def test_what_cannot_be_flat_is_refused(env_id: str, problem: str) -> None:
    with pytest.raises(BadInput, match=rf"^env\.id is '{env_id}', whose observations {problem}"):
        probe_spaces(EnvConfig(id=env_id))


def test_rewards_of_a_repeated_action_are_summed() -> None:
    once, thrice = lane_of(), lane_of(action_repeat=3)
    steps = [once.step(action(0.5)) for _ in range(3)]
    step = thrice.step(action(0.5))
    assert step.reward == pytest.approx(sum(each.reward for each in steps))
    assert step.next_observation.tolist() == steps[-1].next_observation.tolist()
    assert (thrice.episode_steps, step.terminated, step.truncated) == (1, False, False)


def test_an_end_ends_the_repetition() -> None:
    lane = lane_of(kwargs={"doubles": True}, action_repeat=7)
    start, steps = float(lane.observation[1]), 0
    ended = lane.step(action(1))
    while not ended.terminated:
        steps, ended = steps + 7, lane.step(action(1))
    needed = int(np.ceil((1 - start) / 0.2 - 1e-6))  # in steps of 2 x 0.1, of which none is taken after the goal
    assert ended.next_observation[2] == needed
    assert steps < needed <= steps + 7


def test_an_action_that_the_environment_changes_is_repeated_as_it_was() -> None:
    lane = lane_of(kwargs={"doubles": True}, action_repeat=4)
    start = float(lane.observation[1])
    assert float(lane.step(action(0.1)).next_observation[1]) == pytest.approx(start + 4 * 0.02, abs=1e-6)


@pytest.mark.parametrize(("limit", "times", "actions"), [(None, 1, LIMIT), (7, 1, 7), (30, 1, 30), (7, 3, 3)])
def test_a_time_limit_counts_the_steps_of_the_environment(limit: int | None, times: int, actions: int) -> None:
    lane = lane_of(time_limit=limit, action_repeat=times)
    steps = [lane.step(action(0)) for _ in range(actions)]
    assert [(step.terminated, step.truncated) for step in steps] == [(False, False)] * (actions - 1) + [(False, True)]
    assert steps[-1].next_observation[2] == (limit or LIMIT)


def test_costs_count_actions() -> None:
    config = resolve({"env": {"id": NESTED, "time_limit": 7, "action_repeat": 3}, "steps": 10_000})
    scored = 2 * config.evaluation.episodes + config.evaluation.deployed_episodes
    assert evaluation_steps(config, make_env(config.env)) == 3 * scored


def test_a_film_goes_at_the_true_speed() -> None:
    assert make_env(EnvConfig(id=NESTED, action_repeat=4)).metadata["render_fps"] == 10


def test_the_random_policy_plays_the_configured_task() -> None:
    task = {"env__id": NESTED, "env__time_limit": 2}
    spaces = probe_spaces(EnvConfig(id=NESTED))
    once, twice = (random_score(small_config(**task, env__action_repeat=times), spaces) for times in (1, 2))
    assert once == pytest.approx(twice, abs=0.2)  # sums of two rewards of about -1.5, and not of four
    assert -4 < once < -2


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("env.frame_skip", 4, r"There is no key env\.frame_skip: env\.action_repeat repeats .*kwargs\.frame_skip"),
        ("env.action_repeat", 0, r"env\.action_repeat is 0: "),
        ("env.action_repeat", 10_000, r"env\.action_repeat is 10000: .*1000"),
        ("env.time_limit", -1, r"env\.time_limit is -1: "),
        ("env.max_episode_steps", 5, r"There is no key env\.max_episode_steps: did you mean env\.time_limit\?"),
    ],
)
def test_slips_are_named(key: str, value: int, sentence: str) -> None:
    with pytest.raises(BadInput, match=f"^{sentence}"):
        small_config(**{key.replace(".", "__"): value})


def test_one_limit_is_given_once() -> None:
    with pytest.raises(BadInput, match=r"^env\.time_limit is 5 but env\.kwargs\.max_episode_steps is 9"):
        probe_spaces(EnvConfig(id=NESTED, time_limit=5, kwargs={"max_episode_steps": 9}))


def test_describe_says_what_is_applied(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--env", NESTED, "--set", "env.action_repeat=3", "--set", "env.time_limit=7"]
    content = succeeded(capsys, "describe", *options)
    assert [list(part.values()) for part in content["observation_parts"]] == [list(part) for part in ORDER]
    keys = [sentence.partition(":")[0] for sentence in content["applied"]]
    assert keys == ["env.action_repeat 3", "env.time_limit 7"]
    assert run(["describe", *options]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "goal (1), state.0 (2), state.1.image (4), state.1.speed (1), zone (3)." in shown
    assert "truncated after 7 steps, 3 actions." in shown


def test_a_configuration_without_the_keys_is_the_one_it_was() -> None:
    config = resolve({"env": {"id": "Hopper-v5", "kwargs": {"a": 1}}})
    assert config.canonical()["env"] == config.env.fields() == {"id": "Hopper-v5", "kwargs": {"a": 1}}
    assert resolve({"env": {"id": "Hopper-v5", "kwargs": {"a": 1}, "action_repeat": 2}}).hash != config.hash


def test_a_run_its_policy_and_its_exports_have_the_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    result = train(folder, env__id=NESTED, env__action_repeat=3, env__time_limit=7, steps=200, evaluation__episodes=2)
    env = load_policy(folder / "policy.safetensors").env
    assert env == {"id": NESTED, "kwargs": {}, "action_repeat": 3, "time_limit": 7}
    # At most 7 rewards of at least -2.4 each in an episode; without the limit it would be 20, of 60 steps.
    assert all(-17 < point["return_mean"] < 0 for point in result["evaluations"])
    assert -17 < result["deployed"]["return_mean"] < 0
    files = [said(capsys, "export", str(folder), "--format", kind)["path"] for kind in ("safetensors", "onnx", "c")]
    played = [said(capsys, "evaluate", file, "--episodes", "2")["returns"] for file in (str(folder), *files)]
    assert np.allclose(played, played[0], atol=1e-3)
    source = Path(files[-1]).read_text()
    assert "Each action is meant for 3 steps of the environment" in source
    assert json.dumps(env) in source


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])
