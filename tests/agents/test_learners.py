"""Whole learners of both engines on random experience: structure, clocks, and state that can be taken up again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.learner import Learner, LearnerState, window_spec
from rlx2_ray.agents.torch.learner import TorchLearner
from rlx2_ray.agents.torch.sac.policy import sample_action
from rlx2_ray.agents.torch.values import q_values
from rlx2_ray.config import ExperimentConfig, resolve
from rlx2_ray.networks.masked_mlp import forward, make_mlp
from rlx2_ray.networks.policy import densify, make_acting_policy, make_evaluation_policy
from rlx2_ray.networks.sparse_layer import Layers, from_arrays
from rlx2_ray.sparse.plan import plan_agent
from rlx2_ray.types import Batch, Floats
from tests.agents.small import ALGORITHMS, ENGINES, NEARLY_DENSE, SPACES, random_batch, small_config

SIZES = pytest.mark.parametrize("sizes", [{}, NEARLY_DENSE], ids=["small", "nearly dense"])
MODELS = ["policy", "critic", "target_critic"]


def make(config: ExperimentConfig) -> Learner:
    return make_learner(config, SPACES)


def train(learner: Learner, updates: int, seed: int = 0, n_step: int = 1) -> None:
    generator = np.random.default_rng(seed)
    for _ in range(updates):
        learner.update(random_batch(generator, n_step=n_step))


def as_bytes(state: LearnerState) -> dict[str, Any]:
    """To the last bit, so that 0 and -0 differ."""
    return {name: array.tobytes() for name, array in state.arrays.items()} | state.values


def through_json(state: LearnerState) -> LearnerState:
    return LearnerState(state.arrays, json.loads(json.dumps(state.values)))


def layers_of(state: LearnerState, model: str) -> Layers:
    return from_arrays(state.arrays, model)


def structure(learner: Learner, model: str) -> list[list[int]]:
    return [layer.indices.tolist() for layer in layers_of(learner.state(), model)]


# Structure


@ENGINES
@ALGORITHMS
@pytest.mark.parametrize("rule", ["static", "set", "rigl"])
def test_active_weights_stay_as_planned_over_hundreds_of_events(engine: str, algo: str, rule: str) -> None:
    config = small_config(algo, engine=engine, topology={"rule": rule})
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


@ENGINES
@pytest.mark.parametrize("initial_mask", ["magnitude", "random"])
@pytest.mark.parametrize("rule", ["set", "rigl"])
def test_units_have_as_many_weights_as_planned(engine: str, rule: str, initial_mask: str) -> None:
    sparsity = {"policy": 0.7, "critic": 0.6, "fan_in": "constant"}
    topology = {"rule": rule, "interval": 2, "initial_mask": initial_mask}
    config = small_config("td3", engine=engine, sparsity=sparsity, topology=topology)
    plan = plan_agent(config, SPACES.observation_size, SPACES.action_size)
    planned = [layer.active / layer.shape[0] for layer in (*plan.policy.layers, *plan.critic.layers)]
    assert all(fan_in.is_integer() for fan_in in planned)
    learner, seen = make(config), set()
    for seed in range(5):
        layers = [*layers_of(learner.state(), "policy"), *layers_of(learner.state(), "critic")]
        assert [{*layer.mask().sum(axis=1).tolist()} for layer in layers] == [{fan_in} for fan_in in planned]
        seen.add(b"".join(layer.indices.tobytes() for layer in layers))
        train(learner, 20, seed)
    assert len(seen) == 5, "there were events"


@ENGINES
@ALGORITHMS
def test_targets_have_the_structure_of_the_critics(engine: str, algo: str) -> None:
    learner = make(small_config(algo, engine=engine))
    for seed in range(10):
        train(learner, 2, seed)  # an event of the critics at the second, and a Polyak step after it
        assert structure(learner, "target_critic") == structure(learner, "critic")
        if isinstance(learner, TorchLearner):
            for layer in learner.target_critic:
                assert layer.weight[~layer.mask].count_nonzero() == 0


@ENGINES
def test_targets_keep_their_structure_until_the_polyak_step_after_an_event(engine: str) -> None:
    learner = make(small_config("td3", engine=engine, topology={"interval": 3}, agent={"policy_delay": 2}))
    train(learner, 2)
    before = structure(learner, "critic")
    train(learner, 1, seed=1)  # the critics' event, without a Polyak step
    after, state = structure(learner, "critic"), learner.state()
    assert structure(learner, "target_critic") == before != after
    again = make(small_config("td3", engine=engine, topology={"interval": 3}, agent={"policy_delay": 2}))
    again.restore(state)
    for each in (learner, again):
        train(each, 1, seed=2)
        assert structure(each, "target_critic") == after
    assert as_bytes(again.state()) == as_bytes(learner.state())


@ENGINES
@ALGORITHMS
@SIZES
@pytest.mark.parametrize("rule", ["set", "rigl"])
def test_an_event_moves_nothing_but_the_structure(engine: str, algo: str, sizes: dict[str, Any], rule: str) -> None:
    topology = {"rule": rule, "interval": 3}
    learner = make(small_config(algo, engine=engine, topology=topology, agent={"policy_delay": 1}, **sizes))
    for seed in range(4):
        train(learner, 2, seed)
        before = learner.state()
        train(learner, 1, seed)
        after = learner.state()
        for model in ("policy", "critic"):
            assert any(check_event(before, after, f"{model}.{index}") for index in range(3)), "the structure changed"


def check_event(before: LearnerState, after: LearnerState, layer: str) -> bool:
    """Asserts that bias, and whatever weights stayed, are untouched, and grown ones 0; whether there are any."""
    for name in ("bias", "bias.first_moment", "bias.second_moment"):
        assert np.array_equal(before.arrays[f"{layer}.{name}"], after.arrays[f"{layer}.{name}"])
    old_places, new_places = before.arrays[f"{layer}.indices"], after.arrays[f"{layer}.indices"]
    stayed, old, new = np.intersect1d(old_places, new_places, return_indices=True)
    grown = ~np.isin(new_places, old_places)
    for name in ("weights", "weights.first_moment", "weights.second_moment"):
        values: NDArray[Any] = after.arrays[f"{layer}.{name}"]
        assert np.array_equal(values[new], before.arrays[f"{layer}.{name}"][old])
        assert values[new].any()
        assert not values[grown].any()
    assert len(stayed) + grown.sum() == len(old_places) == len(new_places)
    return bool(grown.any())


# State


@ENGINES
@ALGORITHMS
@SIZES
@pytest.mark.parametrize("rule", ["set", "rigl"])
@pytest.mark.parametrize("updates", [0, 1, 40, 41])
def test_a_restored_learner_goes_on_to_the_last_bit(
    engine: str, algo: str, sizes: dict[str, Any], rule: str, updates: int
) -> None:
    config = small_config(algo, engine=engine, topology={"rule": rule, "interval": 3}, **sizes)
    learner, again = make(config), make(config)
    train(learner, updates)
    state = learner.state()
    train(again, 7)  # whatever it was before
    again.restore(through_json(state))
    assert as_bytes(again.state()) == as_bytes(state)
    train(learner, 20, seed=1)
    train(again, 20, seed=1)
    assert as_bytes(again.state()) == as_bytes(learner.state())
    assert again.metrics() == learner.metrics()


@ALGORITHMS
@SIZES
@pytest.mark.parametrize(("engine", "other"), [("torch", "sparse"), ("sparse", "torch")])
def test_a_state_passes_between_engines_to_the_last_bit(
    engine: str, other: str, algo: str, sizes: dict[str, Any]
) -> None:
    learner = make(small_config(algo, engine=engine, **sizes))
    train(learner, 11)
    there = make(small_config(algo, engine=other, **sizes))
    there.restore(through_json(learner.state()))
    assert as_bytes(there.state()) == as_bytes(learner.state())
    back = make(small_config(algo, engine=engine, **sizes))
    back.restore(through_json(there.state()))
    train(learner, 10, seed=1)
    train(back, 10, seed=1)
    assert as_bytes(back.state()) == as_bytes(learner.state())


@ALGORITHMS
def test_both_engines_start_from_the_same_bits(algo: str) -> None:
    first, second = (make(small_config(algo, engine=engine)).state() for engine in ("torch", "sparse"))
    assert as_bytes(first) == as_bytes(second)


@ENGINES
@ALGORITHMS
def test_a_state_is_a_copy(engine: str, algo: str) -> None:
    learner = make(small_config(algo, engine=engine))
    train(learner, 5)
    state, policy = learner.state(), learner.policy_weights().layers
    before, digest = as_bytes(state), [layer.weights.tobytes() for layer in policy]
    train(learner, 5)
    assert as_bytes(state) == before
    assert [layer.weights.tobytes() for layer in policy] == digest
    assert as_bytes(learner.state()) != before


@ENGINES
@ALGORITHMS
def test_a_run_follows_from_its_seed(engine: str, algo: str) -> None:
    learners = [make(small_config(algo, engine=engine, seed=seed)) for seed in (0, 0, 1)]
    for learner in learners:
        train(learner, 20)
    first, second, other = (as_bytes(learner.state()) for learner in learners)
    assert first == second
    assert first["policy.0.weights"] != other["policy.0.weights"]


# Clocks


@ENGINES
@pytest.mark.parametrize(("algo", "delay"), [("td3", 2), ("td3", 3), ("sac", 1), ("sac", 2)])
def test_policy_and_targets_move_every_delayth_update(engine: str, algo: str, delay: int) -> None:
    config = small_config(algo, engine=engine, agent={"policy_delay": delay}, topology={"rule": "static"})
    learner = make(config)
    moving = ["policy.0.bias", "target_critic.0.bias"] + ["target_policy.0.bias"] * (algo == "td3")
    for update in range(1, 10):
        before = learner.state().arrays
        train(learner, 1, update)
        after = learner.state().arrays
        assert not np.array_equal(before["critic.0.bias"], after["critic.0.bias"])
        assert [np.array_equal(before[name], after[name]) for name in moving] == [update % delay != 0] * len(moving)


# Directions


@ENGINES
@ALGORITHMS
def test_critics_learn_rewards_when_nothing_follows(engine: str, algo: str) -> None:
    agent, topology = {"discount": 0, "learning_rate": 0.01}, {"interval": 50, "end_update": 200}
    learner = make(small_config(algo, engine=engine, agent=agent, topology=topology))
    batch = random_batch(np.random.default_rng(0), 64)
    losses = []
    for _ in range(300):
        learner.update(batch)
        losses.append(learner.metrics()["train/critic_loss"])
    assert losses[-1] < 0.1 * losses[0]


@ENGINES
@ALGORITHMS
def test_a_policy_step_raises_the_value_of_its_actions(engine: str, algo: str) -> None:
    # A step of Adam is a step along the gradient only on average, so that a few of them may fail.
    agent = {"policy_delay": 1, "initial_temperature": 1e-3}
    learner = make(small_config(algo, engine=engine, agent=agent, topology={"rule": "static"}))
    batch = random_batch(np.random.default_rng(0), 64)
    rises = []
    for _ in range(40):
        before = learner.state()
        learner.update(batch)
        after = learner.state()
        critics = layers_of(after, "critic")  # the policy's loss is under the critics that were just updated
        old, new = (policy_value(algo, layers_of(state, "policy"), critics, batch) for state in (before, after))
        rises.append(new - old)
    assert np.mean(np.array(rises) > 0) > 0.9


def policy_value(algo: str, policy: Layers, critics: Layers, batch: Batch) -> float:
    """What the policy maximises, the entropy aside: the mean of Q_1 for TD3, of the lesser Q for SAC, in torch."""
    networks = make_mlp(critics, "cpu", trainable=False)
    observations, acting = torch.from_numpy(batch.observations.T), make_mlp(policy, "cpu", trainable=False)
    if algo == "td3":
        actions = forward(acting, observations).tanh()
    else:
        noise = torch.randn(len(observations), SPACES.action_size, generator=torch.Generator().manual_seed(0))
        actions, _ = sample_action(acting, observations, noise)
    both = q_values((networks[:3], networks[3:]), observations, actions)
    return float((both[0] if algo == "td3" else torch.minimum(*both)).mean())


@ENGINES
@ALGORITHMS
def test_the_policy_finds_the_better_action(engine: str, algo: str) -> None:
    agent = {"discount": 0, "learning_rate": 0.01, "initial_temperature": 1e-3}
    learner = make(small_config(algo, engine=engine, agent=agent, topology={"rule": "static"}))
    generator = np.random.default_rng(0)
    for _ in range(400):
        batch = random_batch(generator, 64)
        learner.update(batch._replace(rewards=batch.actions[:1] - batch.actions[1:]))
    actions = learner.acting_policy().action(random_batch(generator, 50).observations.T)
    assert np.mean(actions, 0) == pytest.approx([1, -1], abs=0.2)


@ENGINES
def test_sac_temperature_falls_while_entropy_is_above_its_target(engine: str) -> None:
    # log_std starts near -1.5, so that entropy starts below the target of -2 only for far narrower policies.
    learner = make(small_config("sac", engine=engine, agent={"learning_rate": 0.01}))
    train(learner, 1)
    first = learner.metrics()
    train(learner, 20)
    last = learner.metrics()
    assert first["train/temperature"] == 1.0
    assert (last["train/temperature"] < 1) is (first["train/entropy"] > -2)


@ENGINES
def test_sac_raises_the_entropy_when_the_temperature_is_high(engine: str) -> None:
    agent = {"discount": 0, "learning_rate": 0.003, "initial_temperature": 10.0}
    learner = make(small_config("sac", engine=engine, agent=agent, topology={"rule": "static"}))
    entropies = []
    for seed in range(5):
        train(learner, 20, seed)
        entropies.append(learner.metrics()["train/entropy"])
    assert entropies[-1] > entropies[0] + 0.2


# Metrics, acting, batches


@ENGINES
@ALGORITHMS
def test_metrics_are_means_since_the_last_call(engine: str, algo: str) -> None:
    config = small_config(algo, engine=engine)
    single, both = make(config), make(config)
    losses = []
    for seed in (0, 1):
        train(single, 1, seed)
        train(both, 1, seed)
        losses.append(single.metrics()["train/critic_loss"])
    assert both.metrics()["train/critic_loss"] == pytest.approx(sum(losses) / 2)
    assert set(both.metrics()) == overlap_names(algo, updates=2)


def overlap_names(algo: str, updates: int) -> set[str]:
    """Both models always have an overlap, their layers from the model's first event on: its second optimizer call.

    That is at update 2 for critics, and for SAC's policy; at 4 for TD3's, which is updated every other time.
    """
    with_event = ["critic0", "critic1"] * (updates >= 2) + ["policy"] * (updates >= {"sac": 2, "td3": 4}[algo])
    names = ["policy", "critic", *(f"{name}.{layer}" for name in with_event for layer in range(3))]
    return {f"topology/{name}_overlap" for name in names}


@ENGINES
@ALGORITHMS
def test_layers_have_an_overlap_from_the_first_event_of_their_model_on(engine: str, algo: str) -> None:
    learner = make(small_config(algo, engine=engine))
    for updates in range(1, 6):
        train(learner, 1, seed=updates)
        found = {name for name in learner.metrics() if name.startswith("topology/")}
        assert found == overlap_names(algo, updates)


@ENGINES
@ALGORITHMS
@SIZES
def test_the_acting_policy_stays_current(engine: str, algo: str, sizes: dict[str, Any]) -> None:
    learner = make(small_config(algo, engine=engine, **sizes))
    acting, observation = learner.acting_policy(), np.ones(3, np.float32)
    before = acting.action(observation)
    structures = set()
    for seed in range(12):  # with several events of the policy
        train(learner, 1, seed)
        copied = learner.policy_weights().layers
        structures.add(str([layer.indices.tolist() for layer in copied]))
        expected = make_evaluation_policy(algo, densify(copied)).action(observation)
        for policy in (acting, learner.evaluated_policy()):
            assert np.allclose(policy.action(observation), expected, atol=1e-6)
    assert len(structures) > 2
    assert not np.allclose(before, expected, atol=1e-6)


@ENGINES
@ALGORITHMS
def test_exploration_is_what_the_policy_of_the_same_weights_would_do(engine: str, algo: str) -> None:
    config = small_config(algo, engine=engine)
    learner = make(config)
    train(learner, 9)
    observation = np.ones(3, np.float32)
    other = make_acting_policy(config, densify(learner.policy_weights().layers))
    ours, theirs = (
        policy.explore(observation, np.random.default_rng(5)) for policy in (learner.acting_policy(), other)
    )
    for action, expected in zip(ours, theirs, strict=True):
        assert np.allclose(action, expected, atol=1e-6)


@ENGINES
@ALGORITHMS
def test_windows_of_several_steps_are_taken(engine: str, algo: str) -> None:
    config = small_config(algo, engine=engine)
    learner = make(config)
    learner.update(random_batch(np.random.default_rng(0), n_step=3, every_step=window_spec(config, 0).every_step))
    assert np.isfinite(learner.metrics()["train/critic_loss"])


@ENGINES
@ALGORITHMS
def test_a_batch_is_only_read(engine: str, algo: str) -> None:
    config = small_config(algo, engine=engine)
    learner = make(config)
    for seed in range(6):
        batch = random_batch(np.random.default_rng(seed), 70, 3, window_spec(config, 0).every_step)
        copies: list[Floats] = [array.copy() for array in batch]
        learner.update(batch)
        assert all(map(np.array_equal, batch, copies))


@ALGORITHMS
def test_windows_at_the_boundary(algo: str) -> None:
    config = resolve({"algo": algo, "steps": 3_000_000, "target": {"n_step": 3}})
    specs = [window_spec(config, learner_steps) for learner_steps in (0, 299_999, 300_000, 2_999_999)]
    assert [spec.n_step for spec in specs] == [1, 1, 3, 3]
    assert [spec.updates for spec in specs] == [300_000, 1, None, None]
    assert {spec.every_step for spec in specs} == {algo == "sac"}, "whose target has entropies on the way"
