"""Whole learners on random experience: structure, clocks, and state that can be taken up again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import Learner, LearnerState, needs_every_step, window_length
from rlx2_ray.agents.torch_learner import TorchLearner
from rlx2_ray.config import ExperimentConfig, resolve
from rlx2_ray.networks.policy import densify, make_policy
from rlx2_ray.networks.sparse_layer import Layers, from_arrays
from rlx2_ray.sparse.plan import plan_agent
from tests.agents.small import SPACES, random_batch, small_config

ALGORITHMS = pytest.mark.parametrize("algo", ["td3", "sac"])
MODELS = ["policy", "critic", "target_critic"]


def train(learner: Learner, updates: int, seed: int = 0, n_step: int = 1) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(updates):
        learner.update(random_batch(generator, n_step=n_step))


def as_bytes(state: LearnerState) -> dict[str, Any]:
    """To the last bit, so that 0 and -0 differ."""
    return {name: array.tobytes() for name, array in state.arrays.items()} | state.values


def make(config: ExperimentConfig) -> TorchLearner:
    learner = make_learner(config, SPACES)
    assert isinstance(learner, TorchLearner)
    return learner


def structure(learner: Learner, model: str) -> list[list[int]]:
    return [layer.indices.tolist() for layer in from_arrays(learner.state().arrays, model)]


@ALGORITHMS
@pytest.mark.parametrize("rule", ["static", "set", "rigl"])
def test_active_weights_stay_as_planned_over_hundreds_of_events(algo: str, rule: str) -> None:
    config = small_config(algo, topology={"rule": rule})
    plan = plan_agent(config, SPACES.observation_size, SPACES.action_size)
    planned = [[layer.active for layer in network.layers] for network in (plan.policy, plan.critic, plan.critic)]
    learner = make(config)
    first = [structure(learner, model) for model in MODELS]
    for seed in range(15):
        train(learner, 20, seed)
        now = [structure(learner, model) for model in MODELS]
        assert [[len(indices) for indices in layers] for layers in now] == planned
        assert (now == first) is (rule == "static")
        first = now


@ALGORITHMS
def test_targets_have_the_structure_of_the_critics(algo: str) -> None:
    learner = make(small_config(algo))
    for seed in range(10):
        train(learner, 2, seed)  # an event of the critics at the second, and a Polyak step after it
        assert structure(learner, "target_critic") == structure(learner, "critic")
        for layer in learner.target_critic:
            assert layer.weight[~layer.mask].count_nonzero() == 0


@ALGORITHMS
@pytest.mark.parametrize("rule", ["set", "rigl"])
@pytest.mark.parametrize("updates", [0, 1, 40, 41])
def test_a_restored_learner_goes_on_to_the_last_bit(algo: str, rule: str, updates: int) -> None:
    config = small_config(algo, topology={"rule": rule, "interval": 3})
    learner, again = make(config), make(config)
    train(learner, updates)
    state = learner.state()
    train(again, 7)  # whatever it was before
    again.restore(LearnerState(state.arrays, json.loads(json.dumps(state.values))))
    assert as_bytes(again.state()) == as_bytes(state)
    train(learner, 50, seed=1)
    train(again, 50, seed=1)
    assert as_bytes(again.state()) == as_bytes(learner.state())
    assert again.metrics() == learner.metrics()


@ALGORITHMS
def test_a_state_is_a_copy(algo: str) -> None:
    learner = make(small_config(algo))
    train(learner, 5)
    state = learner.state()
    before = as_bytes(state)
    train(learner, 5)
    assert as_bytes(state) == before
    assert as_bytes(learner.state()) != before


@ALGORITHMS
def test_a_run_follows_from_its_seed(algo: str) -> None:
    learners = [make(small_config(algo, seed=seed)) for seed in (0, 0, 1)]
    for learner in learners:
        train(learner, 20)
    first, second, other = (as_bytes(learner.state()) for learner in learners)
    assert first == second
    assert first["policy.0.weights"] != other["policy.0.weights"]


@pytest.mark.parametrize(("algo", "delay"), [("td3", 2), ("td3", 3), ("sac", 1), ("sac", 2)])
def test_policy_and_targets_move_every_delayth_update(algo: str, delay: int) -> None:
    learner = make(small_config(algo, agent={"policy_delay": delay}, topology={"rule": "static"}))
    moving = ["policy.0.bias", "target_critic.0.bias"] + ["target_policy.0.bias"] * (algo == "td3")
    for update in range(1, 10):
        before = learner.state().arrays
        train(learner, 1, update)
        after = learner.state().arrays
        assert not np.array_equal(before["critic.0.bias"], after["critic.0.bias"])
        assert [np.array_equal(before[name], after[name]) for name in moving] == [update % delay != 0] * len(moving)


@ALGORITHMS
def test_critics_learn_rewards_when_nothing_follows(algo: str) -> None:
    config = small_config(
        algo, agent={"discount": 0, "learning_rate": 0.01}, topology={"interval": 50, "end_update": 200}
    )
    learner, batch = make(config), random_batch(np.random.default_rng(0), 64)
    losses = []
    for _ in range(300):
        learner.update(batch)
        losses.append(learner.metrics()["train/critic_loss"])
    assert losses[-1] < 0.1 * losses[0]


def test_td3_policy_finds_the_better_action() -> None:
    config = small_config("td3", agent={"discount": 0, "learning_rate": 0.01}, topology={"rule": "static"})
    learner, generator = make(config), np.random.default_rng(0)
    for _ in range(400):
        batch = random_batch(generator, 64)
        learner.update(batch._replace(rewards=batch.actions[:, :1] - batch.actions[:, 1:]))
    actions = learner.acting_policy().action(random_batch(generator, 50).observations)
    assert np.mean(actions, 0) == pytest.approx([1, -1], abs=0.2)


def test_sac_temperature_falls_while_entropy_is_above_its_target() -> None:
    # log_std starts near -1.5, so that entropy starts below the target of -2 only for far narrower policies.
    learner = make(small_config("sac", agent={"learning_rate": 0.01}))
    train(learner, 1)
    first = learner.metrics()
    train(learner, 20)
    last = learner.metrics()
    assert first["train/temperature"] == 1.0
    assert (last["train/temperature"] < 1) is (first["train/entropy"] > -2)


@ALGORITHMS
def test_metrics_are_means_since_the_last_call(algo: str) -> None:
    config = small_config(algo)
    single, both = make(config), make(config)
    losses = []
    for seed in (0, 1):
        train(single, 1, seed)
        train(both, 1, seed)
        losses.append(single.metrics()["train/critic_loss"])
    assert both.metrics()["train/critic_loss"] == pytest.approx(sum(losses) / 2)
    assert set(both.metrics()) == {"topology/policy_overlap", "topology/critic_overlap"}


@ALGORITHMS
def test_the_acting_policy_stays_current(algo: str) -> None:
    config = small_config(algo)
    learner = make(config)
    acting, observation = learner.acting_policy(), np.ones(3, np.float32)
    before = acting.action(observation)
    train(learner, 10)
    copied: Layers = learner.policy_layers()
    expected = make_policy(algo, densify(copied), 0.1, "sample").action(observation)
    assert np.allclose(acting.action(observation), expected, atol=1e-6)
    assert not np.allclose(before, expected, atol=1e-6)


@ALGORITHMS
def test_windows_of_several_steps_are_taken(algo: str) -> None:
    learner = make(small_config(algo))
    generator = np.random.default_rng(0)
    batch = random_batch(generator, n_step=3)
    if not needs_every_step(small_config(algo)):
        batch = batch._replace(next_observations=batch.next_observations[:, -1:])
    learner.update(batch)
    assert np.isfinite(learner.metrics()["train/critic_loss"])


def test_window_length_at_the_boundary() -> None:
    config = resolve({"steps": 3_000_000})
    lengths = [window_length(config, learner_steps) for learner_steps in (0, 299_999, 300_000, 2_999_999)]
    assert lengths == [1, 1, 3, 3]


def test_only_sac_needs_every_next_observation() -> None:
    assert [needs_every_step(resolve({"algo": algo})) for algo in ("td3", "sac")] == [False, True]
