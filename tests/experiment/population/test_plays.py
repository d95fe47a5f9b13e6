"""Evaluations that are played elsewhere while training goes on: the same points and scores, whenever they come."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.base_learner import initial_models
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment import session
from rlx2_ray.experiment.evaluation import STREAM, Evaluation, evaluate
from rlx2_ray.experiment.population import arm
from rlx2_ray.experiment.population.physics import Pool
from rlx2_ray.experiment.population.playing import Game
from rlx2_ray.experiment.population.plays import Play
from rlx2_ray.networks.policy import make_evaluation_policy, make_network
from rlx2_ray.networks.policy_weights import PolicyWeights
from rlx2_ray.runs.checkpoint import load_newest
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.checkpoint_values import OWED
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import RunFailed
from tests.experiment.population import late
from tests.experiment.population.arms import member_of, train
from tests.support.runs import evaluated_steps, read_points, small_config
from tests.support.strange_envs import MODULE

CHANGES = {"steps": 200, "agent__normalize_observations": True, "checkpoint__interval": 150, "checkpoint__keep": 9}
TIMES = ("throughput/", "wall_s")
NEVER = 10**9


def outcome(directory: Path, seed: int) -> Any:
    """All that is the same whatever the timing."""
    path = member_of(directory, seed)
    result = RunDirectory(path).read_result()
    assert result is not None
    points = [{key: value for key, value in each.items() if not key.startswith(TIMES)} for each in read_points(path)]
    return points, *(result[key] for key in ("policy_digest", "score", "deployed", "evaluations", "env_steps"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An arm whose members play their evaluations themselves, one after the other."""
    directory = tmp_path_factory.mktemp("undisturbed") / "arm"
    train(directory, **CHANGES)
    return directory


def form_of(path: Path) -> RunForm:
    config, _ = RunDirectory(path).open()
    return RunForm(config, probe_spaces(config.env))


def newest_values(path: Path) -> dict[str, Any]:
    loaded = load_newest(path / "checkpoints", form_of(path), lambda each: None, print)
    assert loaded is not None
    return loaded[0].values


class Stopped(BaseException):
    """As a kill, but that locks are let go."""


def stopping_at(look: int) -> Callable[[int], None]:
    def stop(looks: int) -> None:
        if looks == look:
            raise Stopped

    return stop


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 70, NEVER])
def test_when_an_evaluation_comes_changes_nothing(
    turns: int, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late.use(late.Late(turns), monkeypatch)
    train(tmp_path / "arm", **CHANGES)
    for seed in (0, 1):
        assert outcome(tmp_path / "arm", seed) == outcome(undisturbed, seed)


def test_killed_in_an_evaluation_its_policy_is_in_the_checkpoint(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At env step 190: the evaluation of 100 came at 160, so that the newest checkpoint, of 150, owes it."""
    late.use(late.Late(60, stopping_at(190)), monkeypatch)
    with pytest.raises(Stopped):
        train(tmp_path / "arm", **CHANGES)
    member = member_of(tmp_path / "arm", 0)
    assert evaluated_steps(member) == [100]
    values = newest_values(member)
    assert (values["env_steps"], values[OWED]["env_steps"], values["points"]) == (150, 100, [])
    for wrong in ({"env_steps": 151}, {"env_steps": 0}, {"learner_steps": 99}):
        with pytest.raises(ValueError, match="owes the evaluation of another moment"):
            form_of(member).values(150, {**values, OWED: values[OWED] | wrong})
    shutil.copytree(member, tmp_path / "alone")
    monkeypatch.undo()
    arm.resume(tmp_path / "arm")
    for seed in (0, 1):
        assert outcome(tmp_path / "arm", seed) == outcome(undisturbed, seed)
        assert OWED not in newest_values(member_of(tmp_path / "arm", seed))
    session.resume(tmp_path / "alone", train_on_runtime, {"engine": "sparse"})
    assert evaluated_steps(tmp_path / "alone") == [100, 200]
    assert read_points(tmp_path / "alone")[0]["return_mean"] == read_points(member)[0]["return_mean"]


# Processes


def game_of(seed: int, episodes: int, first_episode: int = 100, **changes: Any) -> Game:
    config = small_config(seed=seed, **changes)
    policy = PolicyWeights(initial_models(config, probe_spaces(config.env))["policy"])
    return Game(config, policy, STREAM, first_episode, episodes)


def played_alone(game: Game) -> Evaluation:
    config: ExperimentConfig = game.config
    policy = make_evaluation_policy(config.algo, make_network(game.policy))
    with closing(EnvLane(config.env, config.seed, game.stream)) as lane:
        return evaluate(policy, lane, game.episodes, game.first_episode)


def finish(pool: Pool, *plays: Play) -> None:
    while not all(play.is_over for play in plays):
        pool.look(1.0)


def unlucky(tmp_path: Path, seed: int, stream: str, episode: int) -> dict[str, Any]:
    (tmp_path / "mark").touch()
    kwargs = {"seed": derive_seed(seed, stream, 0, episode), "file": str(tmp_path / "mark"), "kills": True}
    return {"env__id": f"{MODULE}:Unlucky-v0", "env__kwargs": kwargs}


def test_processes_play_what_a_member_would_whoever_dies_meanwhile(tmp_path: Path) -> None:
    """A training environment kills a process in its second episode, and those that are played there begin anew."""
    changes = unlucky(tmp_path, 0, "environment", 1)
    games = [game_of(seed, episodes, **changes) for seed, episodes in ((0, 5), (1, 3), (2, 4))]
    with Pool(2, 2, probe_spaces(games[0].config.env)) as pool:
        lanes = [pool.make_lane(game.config, "environment") for game in games[:2]]
        plays = [pool.play(game) for game in games]
        failed = 0
        for _ in range(30):
            for lane in lanes:
                lane.begin_step(np.zeros(1, np.float32))
            for lane in lanes:
                try:
                    lane.finish_step()
                except RunFailed:
                    failed += 1
        assert failed > 0
        plays[2].abandon()
        finish(pool, *plays[:2])
        again = pool.play(games[2])
        finish(pool, again)
        assert not any(host.tasks for host in pool._hosts)
    for game, play in zip(games, (*plays[:2], again), strict=True):
        assert play.evaluation() == played_alone(game)


def test_environment_that_dies_in_an_evaluation_fails_that_alone(tmp_path: Path) -> None:
    games = [game_of(seed, 4, **unlucky(tmp_path, 1, STREAM, 102)) for seed in (0, 1, 2)]
    with Pool(1, 1, probe_spaces(games[0].config.env)) as pool:
        plays = [pool.play(game) for game in games]
        finish(pool, *plays)
        with pytest.raises(RunFailed, match=r"ended its process \(SIGKILL\), in evaluation episode 102: the run"):
            plays[1].evaluation()
    for number in (0, 2):
        assert plays[number].evaluation() == played_alone(games[number])


@pytest.mark.slow
def test_evaluation_that_never_comes_back_is_given_up() -> None:
    hanging = game_of(0, 2, env__id=f"{MODULE}:Hanging-v0", env__kwargs={"step": 4})
    with Pool(1, 1, probe_spaces(hanging.config.env), patience_s=5.0) as pool:
        play = pool.play(hanging)
        finish(pool, play)
        with pytest.raises(
            RunFailed, match="did not answer for 5 s, and its process was ended, in evaluation episode 100"
        ):
            play.evaluation()
