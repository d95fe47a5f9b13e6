"""What a member does not depend on: who else there is, its slot, and who rests; and what a population takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.population import memory
from rlx2_ray.agents.population.population import Population
from rlx2_ray.agents.population.replay import Transitions
from rlx2_ray.agents.population.shapes import Shapes, shapes_of_all
from rlx2_ray.agents.population.slot_learner import SlotLearner
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.types import BadInput, Spaces
from tests.agents.small import ALGORITHMS, SPACES, small_config

CHANGES: list[dict[str, Any]] = [
    {"seed": 5, "target": {"n_step": 3, "n_step_start": 4}, "topology": {"interval": 7}},
    {"seed": 6, "method": "dense", "topology": {}, "sparsity": {"policy": 0, "critic": 0}},
    {"seed": 7, "method": "set", "agent": {"batch_size": 8, "learning_rate": 1e-2, "discount": 0.5}},
    {
        "seed": 8,
        "agent": {"grown_steps": "own", "weight_decay": 0.01},
        "network": {"rescaled": "both", "critic_norm": "layer"},
        "topology": {"interval": 4, "growth_batches": 2},
        "policy": {"average": 5},
    },
    {
        "seed": 9,
        "method": "group",
        "sparsity": {"block": 4},
        "topology": {"interval": 2, "start_update": 2, "end_update": 20, "hold": 0},
    },
]
OF_TD3 = {"seed": 10, "target": {"samples": 3, "beta": 0.5}}


def configs_of(algo: str) -> list[ExperimentConfig]:
    return [small_config(algo, **changes) for changes in (*CHANGES, *([OF_TD3] if algo == "td3" else []))]


def populate(
    algo: str, places: dict[int, int], slots: int, has_room: bool = True
) -> tuple[Population, dict[int, SlotLearner]]:
    """Members by their number in `configs_of`, `places` being their slots; each with 40 transitions of its own.

    `has_room`: for what any of all the configurations has; else for what these have.
    """
    configs = configs_of(algo)
    shapes = shapes_of_all(configs if has_room else [configs[number] for number in places], SPACES)
    population = Population(shapes, slots, 64)
    members = {number: SlotLearner(configs[number], SPACES, None, population, slot) for number, slot in places.items()}
    for number, slot in places.items():
        random = np.random.default_rng(number)
        observations = random.standard_normal((41, 3), np.float32)
        for step in range(40):
            actions = random.uniform(-1, 1, (1, 2)).astype(np.float32)
            ends = np.array([step % 7 == 6])
            population.replays.insert(
                Transitions(
                    np.array([slot]),
                    observations[step : step + 1],
                    actions,
                    actions,
                    random.standard_normal(1, np.float32),
                    observations[step + 1 : step + 2],
                    ends,
                    np.array([False]),
                    np.array([step // 7]),
                    np.array([step % 7]),
                )
            )
    return population, members


@ALGORITHMS
def test_a_member_alone_and_among_others_comes_to_the_same(algo: str) -> None:
    numbers = range(len(configs_of(algo)))
    crowd, members = populate(algo, {number: (5 * number + 2) % 7 for number in numbers}, slots=7)
    lonely = {number: populate(algo, {number: 0}, slots=1, has_room=False) for number in numbers}
    for turn in range(12):
        which = [number for number in numbers if (number + turn) % 4]
        crowd.update([members[number] for number in which])
        for number in which:
            lonely[number][0].update([lonely[number][1][number]])
    for number in numbers:
        ours, theirs = members[number].state(), lonely[number][1][number].state()
        assert ours.arrays.keys() == theirs.arrays.keys()
        for name, expected in theirs.arrays.items():
            assert np.allclose(ours.arrays[name], expected, rtol=1e-4, atol=1e-5), (number, name)
        assert ours.values["metric_counts"] == theirs.values["metric_counts"]
        for name, total in theirs.values["metric_sums"].items():
            assert ours.values["metric_sums"][name] == pytest.approx(total, rel=1e-4)


@ALGORITHMS
def test_who_rests_stays_what_it_is_to_the_bit(algo: str) -> None:
    numbers = range(len(configs_of(algo)))
    population, members = populate(algo, {number: number for number in numbers}, slots=len(numbers))
    for turn, resting in enumerate((numbers[::2], numbers[1::2], numbers[::2], numbers[1::2])):
        if turn == 2:
            for _ in range(5):
                population.update(list(members.values()))
        before = {number: members[number].state() for number in resting}
        for _ in range(4):
            population.update([members[number] for number in numbers if number not in resting])
        for number, expected in before.items():
            after = members[number].state()
            assert after.values == expected.values
            assert all(np.array_equal(after.arrays[name], array) for name, array in expected.arrays.items())


@ALGORITHMS
def test_nothing_of_a_member_is_left_in_its_slot(algo: str) -> None:
    configs = configs_of(algo)
    for number, config in enumerate(configs):
        population, members = populate(algo, {number: 0}, slots=1)
        for _ in range(5):
            population.update([members[number]])
        with pytest.raises(ValueError, match="slot 0 is taken"):
            SlotLearner(config, SPACES, None, population, 0)
        members[number].leave()
        assert population.replays.size[0] == 0
        following = (number + 1) % len(configs)
        afresh = populate(algo, {following: 0}, slots=1)[1][following].state()
        again = SlotLearner(configs[following], SPACES, None, population, 0).state()
        assert again.values == afresh.values
        assert all(np.array_equal(again.arrays[name], array) for name, array in afresh.arrays.items())


@ALGORITHMS
def test_a_state_goes_in_as_it_came_out(algo: str) -> None:
    numbers = range(len(configs_of(algo)))
    population, members = populate(algo, {number: number for number in numbers}, slots=len(numbers))
    again, others = populate(algo, {number: number for number in numbers}, slots=len(numbers))
    for _ in range(5):
        population.update(list(members.values()))
    for number, member in members.items():
        others[number].restore(member.state())
    for _ in range(4):
        population.update(list(members.values()))
        again.update(list(others.values()))
    for number, member in members.items():
        expected, found = member.state(), others[number].state()
        assert found.values == expected.values
        assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())


def test_other_shapes_are_refused() -> None:
    population = Population(Shapes.of(small_config("td3", target={"n_step": 3}), SPACES), 1, 64)
    for changes, sentence in (
        ({"network": {"hidden": [8, 16]}}, "policy is"),
        ({"agent": {"batch_size": 9}}, "batch_size is 9, but 8"),
        ({"target": {"n_step": 4}}, "^target.n_step asks for more than this population has room for"),
        ({"target": {"samples": 2}}, "^target.samples asks"),
        ({"policy": {"average": 9}}, "^policy.average asks"),
        ({"agent": {"grown_steps": "own"}}, "^agent.grown_steps asks"),
        ({"network": {"rescaled": "critic"}}, "^network.rescaled asks"),
        ({"network": {"critic_norm": "layer"}}, "^network.critic_norm asks"),
    ):
        with pytest.raises(BadInput, match=sentence):
            SlotLearner(small_config("td3", **changes), SPACES, None, population, 0)
    other = Spaces(4, 2, (-1, -1), (1, 1))
    with pytest.raises(BadInput, match="observation_size is 4, but 3"):
        SlotLearner(small_config("td3"), other, None, population, 0)


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_bytes_of_a_member_are_those_of_its_tensors(algo: str) -> None:
    of_one = Shapes.of(small_config(algo, policy={"average": 5}), SPACES)
    for shapes in (of_one, shapes_of_all(configs_of(algo), SPACES)):
        population = Population(shapes, 3, 50)
        tensors = [stack.parameters for stack in population.stacks().values()]
        for stack in (population.policy, population.critic):
            tensors += [stack.gradient, stack.first_moment, stack.second_moment, stack.mask]
            tensors += [] if stack.births is None else [stack.births]
            tensors += [] if stack.stepped is stack.parameters else [stack.stepped]
        assert sum(each.numel() * each.element_size() for each in tensors) == 3 * memory.network_bytes(shapes)


def test_slots_are_as_many_as_fit_or_as_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = Shapes.of(small_config("td3"), SPACES)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 5 * memory.member_bytes(shapes, 100))
    assert memory.choose_slots(shapes, 100, 3, None, "cpu") == 3
    assert memory.choose_slots(shapes, 100, 9, None, "cpu") == 4
    assert memory.choose_slots(shapes, 100, 9, 2, "cpu") == 2
    with pytest.raises(BadInput, match=r"--slots is 8.*enough for 4: give --slots 4"):
        memory.choose_slots(shapes, 100, 9, 8, "cpu")
    with pytest.raises(BadInput, match=r"device is 'cpu'.*enough for 0: lower replay.max_capacity"):
        memory.choose_slots(shapes, 10_000, 9, None, "cpu")
