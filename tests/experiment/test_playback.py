"""Playing a policy from disk: which one it is, on what, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.playback import find_policy, playable
from rlx2_ray.experiment.playback import play as play_policy
from rlx2_ray.networks.policy_file import PolicyFile, policy_digest, save_policy
from rlx2_ray.types import BadInput, RunFailed
from tests.support.runs import small_config
from tests.support.strange_envs import MODULE


def refuse(text: str) -> None:
    raise AssertionError(text)


def play(path: Path, episodes: int, seed: int, video: Path | None = None) -> dict[str, Any]:
    return play_policy(playable(find_policy(path, refuse)), path, episodes, seed, video)


def write_policy(path: Path, config: ExperimentConfig, env_id: str) -> PolicyFile:
    """An untrained policy for the sizes of `config`'s environment, said to be for `env_id`."""
    spaces = probe_spaces(config.env)
    layers = make_learner(config, spaces).policy_weights().layers
    policy = PolicyFile(layers, config.algo, {"id": env_id, "kwargs": {}}, spaces)
    save_policy(path, policy)
    return policy


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_file_gives_back_the_policy_and_its_environment(algo: str, tmp_path: Path) -> None:
    written = write_policy(tmp_path / "policy", small_config(algo=algo), "InvertedPendulum-v5")
    read = find_policy(tmp_path / "policy", refuse)
    assert policy_digest(read.layers) == policy_digest(written.layers)
    assert read[1:] == written[1:]


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_noise_free_episodes_repeat(algo: str, tmp_path: Path) -> None:
    write_policy(tmp_path / "policy", small_config(algo=algo, env__id="Pendulum-v1"), "Pendulum-v1")
    first, again = (play(tmp_path / "policy", 2, 3) for _ in range(2))
    assert first == again
    assert len(set(first["returns"])) == 2


def test_more_episodes_begin_with_the_same_ones(tmp_path: Path) -> None:
    write_policy(tmp_path / "policy", small_config(env__id="Pendulum-v1"), "Pendulum-v1")
    two, three = (play(tmp_path / "policy", episodes, 0)["returns"] for episodes in (2, 3))
    assert three[:2] == two


def test_policy_for_other_sizes_than_its_environment_has_is_refused(tmp_path: Path) -> None:
    write_policy(tmp_path / "policy", small_config(env__id="Pendulum-v1"), "InvertedPendulum-v5")
    with pytest.raises(BadInput, match=r"sizes \(3, 1\), but InvertedPendulum-v5 has \(4, 1\)"):
        play(tmp_path / "policy", 1, 0)


def test_environment_that_is_not_there_any_more_is_refused(tmp_path: Path) -> None:
    write_policy(tmp_path / "policy", small_config(), "Forgotten-v1")
    with pytest.raises(BadInput, match="Forgotten-v1"):
        play(tmp_path / "policy", 1, 0)


def test_environment_that_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    write_policy(tmp_path / "policy", small_config(env__id=f"{MODULE}:Drift-v0"), f"{MODULE}:Drift-v0")
    with pytest.raises(BadInput, match="Drift-v0"):
        play(tmp_path / "policy", 1, 0, tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


def test_environment_that_breaks_names_the_episode(tmp_path: Path) -> None:
    env_id = f"{MODULE}:Broken-v0"
    policy = write_policy(tmp_path / "policy", small_config(env__id=env_id), env_id)
    save_policy(tmp_path / "policy", policy._replace(env={"id": env_id, "kwargs": {"step": 15}}))
    with pytest.raises(RunFailed, match=r"nan as observation\[1\] .*, in evaluation episode 1"):
        play(tmp_path / "policy", 3, 0)
