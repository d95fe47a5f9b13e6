"""What a member does not depend on: who else there is, its slot, and who rests; and what a population takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.population import memory
from rlx2_ray.agents.population.population import Population
from rlx2_ray.agents.population.replay import Transitions
from rlx2_ray.agents.population.shapes import Shapes
from rlx2_ray.agents.population.slot_learner import SlotLearner
from rlx2_ray.types import BadInput, Spaces
from tests.agents.population.together import widest
from tests.agents.small import ALGORITHMS, SPACES, small_config

CHANGES: list[dict[str, Any]] = [
    {"seed": 5, "target": {"n_step": 3, "n_step_start": 4}, "topology": {"interval": 7}},
    {"seed": 6, "method": "dense", "topology": {}, "sparsity": {"policy": 0, "critic": 0}},
    {"seed": 7, "method": "set", "agent": {"batch_size": 8, "learning_rate": 1e-2, "discount": 0.5}},
]


def populate(algo: str, places: dict[int, int], slots: int) -> tuple[Population, dict[int, SlotLearner]]:
    """Members by their number in CHANGES, `places` being their slots; each with 40 transitions of its own."""
    configs = [small_config(algo, **changes) for changes in CHANGES]
    population = Population(widest(configs, SPACES), slots, 64)
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
    crowd, members = populate(algo, {0: 2, 1: 0, 2: 4}, slots=6)
    lonely, alone = populate(algo, {0: 0}, slots=1)
    for turn in range(12):
        crowd.update([members[0]] if turn == 5 else list(members.values()) if turn % 3 else [members[0], members[2]])
        lonely.update([alone[0]])
    ours, theirs = members[0].state(), alone[0].state()
    for name, expected in theirs.arrays.items():
        assert np.allclose(ours.arrays[name], expected, rtol=1e-4, atol=1e-6), name
    assert ours.values["metric_counts"] == theirs.values["metric_counts"]
    for name, total in theirs.values["metric_sums"].items():
        assert ours.values["metric_sums"][name] == pytest.approx(total, rel=1e-4)


@ALGORITHMS
def test_who_rests_stays_what_it_is_to_the_bit(algo: str) -> None:
    population, members = populate(algo, {0: 0, 1: 1}, slots=2)
    for _ in range(3):
        population.update(list(members.values()))
    before = members[1].state()
    for _ in range(4):
        population.update([members[0]])
    after = members[1].state()
    assert after.values == before.values
    assert all(np.array_equal(after.arrays[name], array) for name, array in before.arrays.items())


@ALGORITHMS
def test_nothing_of_a_member_is_left_in_its_slot(algo: str) -> None:
    population, members = populate(algo, {0: 0}, slots=1)
    first = members[0].state()
    for _ in range(3):
        population.update([members[0]])
    with pytest.raises(ValueError, match="slot 0 is taken"):
        SlotLearner(small_config(algo, **CHANGES[0]), SPACES, None, population, 0)
    members[0].leave()
    again = SlotLearner(small_config(algo, **CHANGES[0]), SPACES, None, population, 0).state()
    assert again.values == first.values
    assert all(np.array_equal(again.arrays[name], array) for name, array in first.arrays.items())
    assert population.replays.size[0] == 0


def test_other_shapes_are_refused() -> None:
    population, _ = populate("td3", {}, slots=1)
    for changes, sentence in (
        ({"network": {"hidden": [8, 16]}}, "policy is"),
        ({"agent": {"batch_size": 9}}, "batch_size is 9, but 8"),
        ({"target": {"n_step": 4}}, "target.n_step is 4"),
        ({"policy": {"average": 9}}, "policy.average 9"),
    ):
        with pytest.raises(BadInput, match=sentence):
            SlotLearner(small_config("td3", **changes), SPACES, None, population, 0)
    other = Spaces(4, 2, (-1, -1), (1, 1))
    with pytest.raises(BadInput, match="observation_size is 4, but 3"):
        SlotLearner(small_config("td3"), other, None, population, 0)


@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_bytes_of_a_member_are_those_of_its_tensors(algo: str) -> None:
    shapes = Shapes.of(small_config(algo, policy={"average": 5}), SPACES)
    population = Population(shapes, 3, 50)
    tensors = [stack.parameters for stack in population.stacks().values()]
    for stack in (population.policy, population.critic):
        tensors += [stack.gradient, stack.first_moment, stack.second_moment, stack.mask]
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
