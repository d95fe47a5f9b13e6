"""Growth by the gradients of several batches: which are summed, what an event is given, engine by engine, resumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlx2_ray.agents.evolution.base import LayerAtEvent
from rlx2_ray.config import resolve
from rlx2_ray.types import BadInput, Floats
from tests.agents.optimizers import make_optimizer
from tests.agents.small import ALGORITHMS, ENGINES, UNENDING, check_resumes, small_config
from tests.agents.test_agreement import SIZES, Pair, check_agreement
from tests.agents.test_optimizers import random_gradients, start_layers


@ENGINES
@pytest.mark.parametrize("batches", [1, 3, 5, 9])
def test_an_event_is_given_the_sum_of_the_latest(engine: str, batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    topology = {"rule": "rigl", "interval": 5, "end_update": UNENDING, "growth_batches": batches}
    optimizer = make_optimizer(engine, start_layers(), small_config("td3", topology=topology))
    seen: list[Floats] = []

    def rewire(layer: LayerAtEvent) -> tuple[Any, Floats]:
        seen.append(layer.gradient.copy())
        return layer.mask, layer.weights

    monkeypatch.setattr(optimizer.evolution, "rewire_layer", rewire)
    for call in range(1, 11):
        optimizer.step(random_gradients(optimizer, call))
    layers = len(optimizer.layers())
    for event, given in enumerate(seen[::layers], start=1):
        calls = range(5 * event - min(batches, 5) + 1, 5 * event + 1)  # none from before the last event
        expected = sum(random_gradients(optimizer, call)[0] for call in calls)
        np.testing.assert_allclose(given, expected, rtol=1e-5)
    assert len(seen) == 2 * layers


@ENGINES
def test_steps_are_what_they_were(engine: str) -> None:
    states = []
    for batches in (1, 4):
        topology = {"rule": "rigl", "interval": 5, "end_update": UNENDING, "growth_batches": batches}
        optimizer = make_optimizer(engine, start_layers(), small_config("td3", topology=topology))
        for call in range(1, 5):
            optimizer.step(random_gradients(optimizer, call))
        states.append(b"".join(layer.weights.tobytes() for layer in optimizer.layers()))
    assert states[0] == states[1]


@ALGORITHMS
@pytest.mark.parametrize("sizes", ["small", "nearly dense"])
def test_the_engines_agree(algo: str, sizes: str) -> None:
    pair = Pair(algo, SIZES[sizes], topology={"interval": 4, "growth_batches": 3})
    before = pair.warm_up("torch", 22).arrays
    assert any(name.endswith("growth") and array.any() for name, array in before.items())
    structures = set()
    for _ in range(6):
        pair.update(pair.batch(40))
        check_agreement(before, pair)
        structures.add(pair.states()[1].arrays["critic.1.indices"].tobytes())
    assert len(structures) > 1


@ENGINES
@ALGORITHMS
def test_it_goes_on_from_a_state(engine: str, algo: str) -> None:
    check_resumes(small_config(algo, engine=engine, topology={"interval": 4, "growth_batches": 3}))


def test_what_does_not_go_together() -> None:
    with pytest.raises(BadInput, match=r"^topology.growth_batches is 2 but topology.rule is set, .*: leave it out.$"):
        resolve({"topology": {"rule": "set", "growth_batches": 2}})
