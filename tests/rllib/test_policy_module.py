"""A finished policy as a module of RLlib: it acts as our own does, in the hands of RLlib's env runners too."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, Space
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.utils.spaces.space_utils import unsquash_action

from rlx2_ray.envs.actions import make_scale
from rlx2_ray.experiment.playback import STREAM, find_policy, play, playable
from rlx2_ray.networks.policy import densify, make_evaluation_policy, make_network
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, policy_digest, save_policy
from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.rllib import RLx2Config, RLx2PolicyModule
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import BadInput, Spaces

PENDULUM = Spaces(3, 1, (-2.0,), (2.0,))
TASK = {"id": "Pendulum-v1", "kwargs": {}}
OBSERVATIONS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def make_file(folder: Path, algo: str, seed: int = 0, hidden: int = 8) -> Path:
    """A policy for Pendulum, a third of whose weights are active, one of them 0."""
    generator = np.random.default_rng(seed)
    sizes = [3, hidden, 1 if algo == "td3" else 2]
    layers = []
    for inputs, outputs in pairwise(sizes):
        mask = generator.random((outputs, inputs)) < 1 / 3
        mask[0] = True
        weights = generator.normal(size=(outputs, inputs)).astype(np.float32)
        weights[0, 0] = 0
        layers.append(SparseLayer.from_dense(weights, mask, generator.normal(size=outputs).astype(np.float32)))
    file = folder / f"{algo}{seed}.safetensors"
    save_policy(file, PolicyFile(tuple(layers), algo, TASK, PENDULUM))
    return file


@pytest.fixture(params=["td3", "sac"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return make_file(tmp_path, request.param)


def actions_of(module: RLModule, method: str = "forward_inference") -> np.ndarray:
    outputs = getattr(module, method)({Columns.OBS: torch.from_numpy(OBSERVATIONS)})
    actions: np.ndarray = outputs[Columns.ACTIONS].numpy()
    return actions


def test_actions_are_those_of_our_own_policy(file: Path) -> None:
    module = RLx2PolicyModule.from_checkpoint(file)
    policy_file = module.to_policy_file()
    policy = make_evaluation_policy(policy_file.algo, densify(policy_file.layers))
    np.testing.assert_allclose(actions_of(module), policy.action(OBSERVATIONS), atol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3)])
def test_observations_may_have_any_shape_of_the_size(shape: tuple[int, ...], file: Path) -> None:
    module = RLx2PolicyModule(
        observation_space=Box(-1, 1, shape), action_space=Box(-2, 2, (1, 1)), model_config={"policy": str(file)}
    )
    outputs = module.forward_inference({Columns.OBS: torch.from_numpy(OBSERVATIONS.reshape(5, *shape)).double()})
    expected = actions_of(RLx2PolicyModule.from_checkpoint(file))
    assert outputs[Columns.ACTIONS].shape == (5, 1, 1)
    np.testing.assert_allclose(outputs[Columns.ACTIONS].numpy().reshape(5, 1), expected)


def test_td3_explores_with_noise_of_the_given_size(tmp_path: Path) -> None:
    file = make_file(tmp_path, "td3")
    silent = RLx2PolicyModule.from_checkpoint(file, exploration_noise=0.0)
    np.testing.assert_array_equal(actions_of(silent, "forward_exploration"), actions_of(silent))
    loud = RLx2PolicyModule.from_checkpoint(file, exploration_noise=0.5)
    torch.manual_seed(0)
    expected = np.clip(actions_of(loud) + 0.5 * torch.randn(5, 1).numpy(), -1, 1)
    torch.manual_seed(0)
    np.testing.assert_array_equal(actions_of(loud, "forward_exploration"), expected)


def test_sac_explores_by_sampling_with_its_log_density(tmp_path: Path) -> None:
    module = RLx2PolicyModule.from_checkpoint(make_file(tmp_path, "sac"))
    torch.manual_seed(0)
    outputs = module.forward_exploration({Columns.OBS: torch.from_numpy(OBSERVATIONS)})
    assert outputs[Columns.ACTION_LOGP].shape == (5,)
    assert not np.allclose(outputs[Columns.ACTIONS], actions_of(module))


@pytest.mark.parametrize("restore", [RLx2PolicyModule.from_checkpoint, RLModule.from_checkpoint])
def test_saved_module_is_the_same_policy(restore: object, file: Path, tmp_path: Path) -> None:
    module = RLx2PolicyModule.from_checkpoint(file)
    path = module.save_to_path(tmp_path / "module")
    file.unlink()  # it does not need what it was made of
    again = restore(path)  # type: ignore[operator]
    np.testing.assert_array_equal(actions_of(again), actions_of(module))
    assert policy_digest(again.to_policy_file().layers) == policy_digest(module.to_policy_file().layers)
    assert again.to_policy_file()[1:] == module.to_policy_file()[1:]


def test_observations_are_normalised_as_the_policy_says(file: Path, tmp_path: Path) -> None:
    policy, normalized = load_policy(file), tmp_path / "normalized.safetensors"
    statistics = Normalization(np.float32([0.5, -1, 2]), np.float32([0.1, 20, 1]))
    save_policy(normalized, policy._replace(normalization=statistics))
    module = RLx2PolicyModule.from_checkpoint(normalized)
    network = make_network(policy.weights._replace(normalization=statistics))
    expected = make_evaluation_policy(policy.algo, network).action(OBSERVATIONS)
    np.testing.assert_allclose(actions_of(module), expected, atol=1e-6)
    again = RLx2PolicyModule.from_checkpoint(module.save_to_path(tmp_path / "module"))
    np.testing.assert_array_equal(actions_of(again), actions_of(module))
    assert policy_digest(*again.to_policy_file().weights) == policy_digest(policy.layers, statistics)
    with pytest.raises(BadInput, match="of other sizes"):
        again.restore_from_path(file)


def played(path: Path, episodes: int) -> dict[str, Any]:
    """As `rlx2 evaluate --seed 0` has it."""
    return play(playable(find_policy(path, print)), path, episodes, 0)


def test_saved_module_is_played_by_the_command_line(tmp_path: Path) -> None:
    file = make_file(tmp_path, "td3")
    path = Path(RLx2PolicyModule.from_checkpoint(file).save_to_path(tmp_path / "module"))
    assert played(path, 2) == played(file, 2)


def test_state_goes_from_one_module_to_another(tmp_path: Path) -> None:
    one, two = (RLx2PolicyModule.from_checkpoint(make_file(tmp_path, "td3", seed)) for seed in (0, 1))
    assert not np.allclose(actions_of(one), actions_of(two))
    two.set_state(one.get_state())
    np.testing.assert_array_equal(actions_of(two), actions_of(one))
    assert policy_digest(two.to_policy_file().layers) == policy_digest(one.to_policy_file().layers)


def test_damaged_policy_is_refused_by_name(tmp_path: Path) -> None:
    path = Path(RLx2PolicyModule.from_checkpoint(make_file(tmp_path, "td3")).save_to_path(tmp_path / "module"))
    content = bytearray((path / "policy.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "policy.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=rf"{path / 'policy.safetensors'} is damaged"):
        RLx2PolicyModule.from_checkpoint(path)
    with pytest.raises(BadInput, match=r"policy\.safetensors is damaged"):
        RLModule.from_checkpoint(path)


@pytest.mark.parametrize(
    ("observations", "actions"), [(Box(-1, 1, (4,)), Box(-1, 1, (1,))), (Box(-1, 1, (3,)), Discrete(1))]
)
def test_other_spaces_are_one_sentence(observations: Space, actions: Space, file: Path) -> None:
    with pytest.raises(BadInput, match="The policy is for 3 observations and 1 actions, but the environment has"):
        RLx2PolicyModule(observation_space=observations, action_space=actions, model_config={"policy": str(file)})


def test_module_without_a_policy_is_one_sentence() -> None:
    with pytest.raises(BadInput, match="no policy: give one by rl_module"):
        SingleAgentEnvRunner(config=RLx2Config().environment("Pendulum-v1"))


def test_policy_of_other_sizes_is_not_put_into_a_module(tmp_path: Path) -> None:
    module = RLx2PolicyModule.from_checkpoint(make_file(tmp_path, "td3"))
    with pytest.raises(BadInput, match="other sizes"):
        module.restore_from_path(make_file(tmp_path, "td3", seed=1, hidden=9))


def episode_of(seed: int, file: Path) -> SingleAgentEpisode:
    """One episode that RLlib's env runner plays with our configuration."""
    config = RLx2Config().environment("Pendulum-v1").debugging(seed=seed).rl_module(model_config={"policy": str(file)})
    runner = SingleAgentEnvRunner(config=config)
    (episode,) = runner.sample(num_episodes=1, explore=False)
    runner.stop()
    return episode


def test_env_runner_of_rllib_gets_the_returns_of_the_command_line(file: Path) -> None:
    returns = played(file, 3)["returns"]
    episodes = [episode_of(derive_seed(0, STREAM, 0, number), file) for number in range(3)]
    assert [episode.get_return() for episode in episodes] == pytest.approx(returns, rel=1e-3)


def test_any_other_configuration_of_rllib_acts_with_it(file: Path) -> None:
    spec = RLModuleSpec(module_class=RLx2PolicyModule, model_config={"policy": str(file)})
    config = PPOConfig().environment("Pendulum-v1").env_runners(num_envs_per_env_runner=2).debugging(seed=0)
    runner = SingleAgentEnvRunner(config=config.rl_module(rl_module_spec=spec))
    episodes = runner.sample(num_episodes=2, explore=True)
    runner.stop()
    actions = np.concatenate([episode.get_actions() for episode in episodes])
    assert np.abs(actions).max() <= 1, "RLlib keeps them in units of the bounds"
    assert all(len(episode) == 200 for episode in episodes)


def test_whole_numbers_are_the_nearest_in_rllibs_hands_too(tmp_path: Path) -> None:
    """RLlib shifts whole numbers by the lower bound, and scales only the others."""
    space = Box(np.array([-2], np.int16), np.array([4], np.int16), dtype=np.int16)
    module = RLx2PolicyModule(
        observation_space=Box(-1, 1, (3,)),
        action_space=space,
        inference_only=True,
        model_config={"policy": str(make_file(tmp_path, "td3"))},
    )
    given = unsquash_action(actions_of(module), space)
    policy = find_policy(make_file(tmp_path, "td3"), pytest.fail)
    scale = make_scale(policy.spaces._replace(action_low=(-2.0,), action_high=(4.0,), action_is_integer=True))
    chosen = make_evaluation_policy("td3", densify(policy.layers)).action(OBSERVATIONS)
    assert given.tolist() == [scale(action) for action in chosen.tolist()]
    assert all(space.contains(action) for action in given)
    assert module.to_policy_file().spaces.action_is_integer
