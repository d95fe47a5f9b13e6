"""RLlib's settings as keys of ours, and the sentences about those that have no meaning here."""

from __future__ import annotations

import gymnasium
import pytest
from ray import tune
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.callbacks import RLlibCallback

from rlx2_ray.config import resolve
from rlx2_ray.rllib import RLx2, RLx2Config
from rlx2_ray.types import BadInput
from tests.rllib.conftest import Keep, MakeConfig


def hopper() -> RLx2Config:
    config: RLx2Config = RLx2Config().environment("Hopper-v5")
    return config


def test_without_settings_it_is_the_default_but_for_the_checkpoints() -> None:
    assert hopper().to_experiment() == resolve({"checkpoint": {"interval": 5_000}})


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        (RLx2Config().environment("Ant-v5", env_config={"frame_skip": 4}), "env.kwargs.frame_skip", 4),
        (hopper().training(algo="sac"), "algo", "sac"),
        (hopper().training(method="set"), "method", "set"),
        (hopper().training(policy_sparsity=0.98), "sparsity.policy", 0.98),
        (hopper().training(critic_sparsity=0.95), "sparsity.critic", 0.95),
        (hopper().training(steps=100_000), "steps", 100_000),
        (hopper().training(engine="torch"), "engine", "torch"),
        (hopper().training(lr=1e-3), "agent.learning_rate", 1e-3),
        (hopper().training(gamma=0.98), "agent.discount", 0.98),
        (hopper().training(train_batch_size_per_learner=64), "agent.batch_size", 64),
        (hopper().training(settings={"target.n_step": 5}), "target.n_step", 5),
        (hopper().training(settings={"target": {"n_step": 5}}), "target.n_step", 5),
        (hopper().debugging(seed=7), "seed", 7),
        (hopper().evaluation(evaluation_duration=3), "evaluation.episodes", 3),
        (hopper().reporting(min_sample_timesteps_per_iteration=400), "evaluation.interval", 400),
        (hopper().reporting(min_sample_timesteps_per_iteration=400), "checkpoint.interval", 400),
        (hopper().env_runners(num_env_runners=2), "runtime.rollout_actors", 2),
        (hopper().env_runners(num_env_runners=2), "runtime.kind", "actors"),
        (hopper().env_runners(num_envs_per_env_runner=4), "runtime.envs_per_rollout", 4),
    ],
)
def test_settings_are_keys_of_ours(config: RLx2Config, key: str, value: object) -> None:
    tree = config.to_experiment().model_dump()
    for part in key.split("."):
        tree = tree[part]
    assert tree == value


class MyTask(gymnasium.Env[int, int]):
    pass


class Watching(RLlibCallback):
    def on_episode_end(self, **kwargs: object) -> None:
        pass


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (RLx2Config(), ("env is None", "environment('Hopper-v5')")),
        (RLx2Config().environment(MyTask), ("env is <class", "register it")),
        (hopper().training(algo="ppo"), ("algo is 'ppo'", "td3, sac")),
        (hopper().training(policy_sparsity=1.5), ("sparsity.policy is 1.5", "less than 1")),
        (hopper().training(settings={"target.n_steps": 5}), ("target.n_steps", "did you mean target.n_step?")),
        (hopper().training(settings=[1]), ("settings is [1]", "keys and values")),
        (hopper().training(settings={"checkpoint.interval": 7}), ("checkpoint.interval", "leave it out")),
        (hopper().training(grad_clip=0.5), ("grad_clip is 0.5", "leave it")),
        (hopper().learners(num_learners=2), ("num_learners is 2", "leave it")),
        (hopper().framework("tf2"), ("framework_str is 'tf2'", "leave it")),
        (hopper().env_runners(explore=False), ("explore is False", "leave it")),
        (hopper().fault_tolerance(restart_failed_env_runners=False), ("restart_failed_env_runners is False",)),
        (hopper().evaluation(evaluation_interval=3), ("evaluation_interval is 3", "min_sample_timesteps")),
        (hopper().evaluation(evaluation_duration="auto"), ("evaluation.episodes is 'auto'", "whole number")),
        (hopper().evaluation(evaluation_duration_unit="timesteps"), ("evaluation_duration_unit is 'timesteps'",)),
        (hopper().evaluation(evaluation_config={"gamma": 0.5}), ("evaluation_config is {'gamma': 0.5}",)),
        (hopper().multi_agent(policies={"one", "two"}), ("policies is", "no use for")),
        (hopper().rl_module(model_config={"fcnet_hiddens": [3]}), ("model_config is", "no use for")),
        (hopper().callbacks(Watching), ("callbacks_class is Watching", "on_episode_end")),
        (hopper().callbacks(on_sample_end=print), ("callbacks_on_sample_end is <built-in", "no use for")),
        (hopper().update_from_dict({"polcy_sparsity": 0.5}), ("polcy_sparsity", "did you mean policy_sparsity?")),
    ],
)
def test_what_cannot_be_done_is_one_sentence(config: AlgorithmConfig, words: tuple[str, ...]) -> None:
    with pytest.raises(BadInput) as error:
        config.validate()
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("env_id", "words"),
    [("CartPole-v1", "not continuous"), ("Nowhere-v0", "gymnasium cannot make")],
)
def test_environment_that_does_not_fit_is_refused_when_built(env_id: str, words: str, keep: Keep) -> None:
    with pytest.raises(BadInput, match=words):
        RLx2Config().environment(env_id).build_algo()


def test_common_words_of_rllib_scripts_are_fine() -> None:
    config = hopper().evaluation(evaluation_interval=1, evaluation_config=AlgorithmConfig.overrides(explore=False))
    config.debugging(log_level="ERROR").resources(num_cpus_for_main_process=2).callbacks(on_train_result=print)
    config.validate()


def test_dictionary_of_tune_is_the_same_configuration() -> None:
    config = hopper().training(policy_sparsity=0.5, settings={"target.n_step": 5}).env_runners(num_env_runners=2)
    again = RLx2.get_default_config().update_from_dict(config.to_dict())
    assert again.to_experiment() == config.to_experiment()


def test_space_of_tune_has_a_place_in_every_setting() -> None:
    config = hopper().training(policy_sparsity=tune.grid_search([0.5]), settings={"agent.tau": tune.uniform(0, 1)})
    space = config.to_dict()
    assert space["policy_sparsity"] == {"grid_search": [0.5]}
    assert isinstance(space["settings"]["agent.tau"], tune.search.sample.Float)


@pytest.mark.parametrize(
    ("env_runners", "bundles"),
    [pytest.param(0, 1, id="inline"), pytest.param(3, 1 + 3 + 2 + 2, id="3 rollouts, 2 shards, learner, evaluator")],
)
def test_trial_asks_for_a_cpu_for_itself_and_for_each_actor(env_runners: int, bundles: int) -> None:
    config = hopper().env_runners(num_env_runners=env_runners).training(settings={"runtime.replay_shards": 2})
    request = RLx2.default_resource_request(config.to_dict())
    assert request.bundles == [{"CPU": 1.0}] * bundles


def test_configuration_of_a_run_reads_back(make_config: MakeConfig, keep: Keep) -> None:
    config = make_config(env__kwargs={"reset_noise_scale": 0.02}).debugging(seed=5)
    algo = keep(config.build_algo())
    algo.save_to_path(algo.run_directory.parent / "saved")
    again = RLx2Config.from_run(algo.run_directory)
    assert again.to_experiment() == config.to_experiment()
    assert (again.seed, again.settings["network.hidden"]) == (5, (16, 16))
