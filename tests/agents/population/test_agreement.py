"""Members of a population against the other engines: the same state, batches and noise lead to the same state.

How much a number may deviate is said in `tests/agents/test_agreement.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.networks.sparse_layer import from_arrays
from rlx2_ray.types import Floats
from tests.agents.population.together import Together
from tests.agents.small import ALGORITHMS, SPACES, small_config
from tests.agents.test_agreement import TOLERANCE, check_values, largest, magnitude

AGENT = {"tau": 0.1, "policy_delay": 2, "learning_rate": 1e-3}
ENGINES = pytest.mark.parametrize("engine", ["torch", "sparse"])
DENSE: dict[str, Any] = {"sparsity": {"policy": 0, "critic": 0}, "topology": {}}
METHODS: dict[str, dict[str, Any]] = {
    "dense": {"method": "dense", **DENSE},
    "static": {"method": "static", "topology": {}, "agent": AGENT | {"learning_rate": 3e-4, "discount": 0.9}},
    "set": {"method": "set", "topology": {"interval": 3}},
    "rigl": {"topology": {"interval": 4}, "sparsity": {"policy": 0.3, "critic": 0.5}},
    "rlx2": {"method": "rlx2", "topology": {"interval": 5}, "target": {"n_step": 3, "n_step_start": 26}},
    "prune": {"method": "prune", "topology": {"interval": 3, "start_update": 4, "end_update": 60}},
    "nm": {
        "method": "nm",
        "sparsity": {"policy": 0.25, "critic": 0.25},
        "topology": {"interval": 2, "group": [3, 4]},
    },
    "ds": {
        "method": "ds",
        "sparsity": {"policy": 0, "critic": 0, "epsilon": [0.7, 4]},
        "topology": {"interval": 6, "drop_fraction": 0.2},
        "agent": AGENT | {"weight_decay": 0.01},
    },
    "other betas": {"topology": {"interval": 4}, "agent": AGENT | {"beta_1": 0.5, "beta_2": 0.95}},
    "blend": {"topology": {"interval": 4}, "target": {"mean": 0.6, "n_step": 2}},
    "delay 1, averaged": {"topology": {"interval": 4}, "agent": AGENT | {"policy_delay": 1}, "policy": {"average": 20}},
    "structured": {"method": "structured", "topology": {"interval": 3, "start_update": 4, "end_update": 200}},
    "constant fan-in": {
        "method": "rigl",
        "sparsity": {"policy": 0.6, "critic": 0.6, "fan_in": "constant"},
        "topology": {"interval": 4},
    },
    "own steps": {"topology": {"interval": 4}, "agent": AGENT | {"grown_steps": "own", "weight_decay": 0.01}},
    "rescaled": {"topology": {"interval": 4}, "network": {"rescaled": "both"}},
    "rescaled policy": {"method": "set", "topology": {"interval": 3}, "network": {"rescaled": "policy"}},
    "normalised critics": {"topology": {"interval": 4}, "network": {"critic_norm": "layer"}},
    "growth over batches": {"topology": {"interval": 5, "growth_batches": 3}},
    "group": {
        "method": "group",
        "sparsity": {"policy": 0.5, "critic": 0.5, "block": 4},
        "topology": {"interval": 3, "start_update": 4, "end_update": 200, "hold": 0},
    },
    "pairs": {
        "method": "prune",
        "sparsity": {"policy": 0.5, "critic": 0.5, "block": 2},
        "topology": {"interval": 3, "start_update": 4, "end_update": 200},
    },
    "all at once": {
        "topology": {"interval": 5, "growth_batches": 2},
        "agent": AGENT | {"grown_steps": "own", "weight_decay": 0.01},
        "network": {"rescaled": "both", "critic_norm": "layer"},
        "target": {"mean": 0.5},
        "policy": {"average": 30},
    },
}
OF_TD3: dict[str, dict[str, Any]] = {
    "samples": {"topology": {"interval": 4}, "target": {"samples": 5, "beta": 0.8, "n_step": 2}},
    "fewer samples": {"topology": {"interval": 4}, "target": {"samples": 2, "beta": 3.0, "mean": 0.4}},
}


def methods(algo: str) -> dict[str, dict[str, Any]]:
    return METHODS | (OF_TD3 if algo == "td3" else {})


def configs(algo: str) -> list[Any]:
    return [
        small_config(algo, **({"agent": AGENT} | sections), seed=seed)
        for seed, sections in enumerate(methods(algo).values(), start=3)
    ]


def check(together: Together, slot: int) -> None:
    reference, ours = together.others[slot].state(), together.members[slot].state()
    assert ours.arrays.keys() == reference.arrays.keys()
    for name, expected in reference.arrays.items():
        if expected.dtype.kind == "i":
            assert np.array_equal(ours.arrays[name], expected), name
        else:
            scale = 1.0 if "reserve" in name or name.startswith("observed") else magnitude(reference.arrays, name)
            assert largest(ours.arrays[name] - expected) <= TOLERANCE * scale, name
    check_values(
        {name: value for name, value in reference.values.items() if name != "noise"},
        {name: value for name, value in ours.values.items() if name != "noise"},
    )


@ALGORITHMS
@ENGINES
def test_members_of_all_methods_and_ages_come_to_what_other_engines_come_to(algo: str, engine: str) -> None:
    names = methods(algo)
    together = Together(configs(algo), engine)
    together.warm_up([20 + slot for slot in range(len(names))])
    structures: list[set[bytes]] = [set() for _ in names]
    for turn in range(12):
        # Some rest at some updates, so that phases of the delay and of the events shift against each other.
        which = [slot for slot in range(len(names)) if (slot + turn) % 5]
        together.update(which)
        for slot in range(len(names)):
            check(together, slot)
            structures[slot].add(together.members[slot].state().arrays["critic.1.indices"].tobytes())
    changed = {name for name, seen in zip(names, structures, strict=True) if len(seen) > 1}
    assert changed == names.keys() - {"dense", "static"}


@ALGORITHMS
def test_a_narrow_network_is_its_own_shape(algo: str) -> None:
    together = Together([small_config(algo, method="tiny", topology={}, agent=AGENT) for _ in range(2)], "torch")
    together.warm_up([21, 22])
    for _ in range(4):
        together.update([0, 1])
    for slot in range(2):
        check(together, slot)


GROUPED = {"method": "group", "sparsity": {"block": 4}, "topology": {"interval": 3, "hold": 0}}


@ALGORITHMS
@pytest.mark.parametrize("sections", [{"topology": {"interval": 3}}, GROUPED])
def test_an_expert_gives_the_values_and_stays_what_it_is(algo: str, sections: dict[str, Any]) -> None:
    expert = make_learner(small_config(algo, method="dense", **DENSE, seed=9), SPACES).state().arrays
    models = {"target_critic": from_arrays(expert, "critic")}
    with_expert = small_config(algo, agent=AGENT, target={"expert": "runs/x"}, **sections)
    together = Together([with_expert, with_expert], "torch", models)
    together.warm_up([21, 22])
    for turn in range(6):
        together.update([0, 1] if turn % 3 else [1])
    for slot in range(2):
        check(together, slot)
        for layer, given in zip(
            together.members[slot].policy_layers("target_critic"), models["target_critic"], strict=True
        ):
            assert np.array_equal(layer.weights, given.weights)


@ALGORITHMS
def test_normalised_observations_are_those_of_each_member(algo: str) -> None:
    from rlx2_ray.networks.moments import Moments

    agents = [AGENT | {"normalize_observations": True}, AGENT]
    together = Together([small_config(algo, agent=agent, topology={}) for agent in agents], "torch")
    together.warm_up([21, 22])
    seen: Floats = np.random.default_rng(1).normal([1, 2, 3], [0.1, 3, 1], (50, 3)).astype(np.float32)
    together.members[0].observe(Moments.of(seen))
    together.others[0].observe(Moments.of(seen))
    for _ in range(4):
        together.update([0, 1])
    for slot in range(2):
        check(together, slot)
