"""What comes into each layer at an event, by hand, and as both engines give it."""

from __future__ import annotations

import numpy as np
import pytest

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.evolution.inputs import inputs_by_layer
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.types import Floats
from tests.agents.small import ENGINES, SPACES, random_batch, small_config


def layer_of(weights: list[list[float]], bias: list[float]) -> SparseLayer:
    values = np.array(weights, np.float32)
    return SparseLayer.from_dense(values, values != 0, np.array(bias, np.float32))


def test_inputs_by_hand() -> None:
    """Two networks of two layers, one sample (1, -1): hidden units relu(2 - 1 + 0) and relu(-3 + 1)."""
    network = (layer_of([[2, 1], [0, 3]], [0, 1]), layer_of([[1, 1]], [0]))
    other = (layer_of([[1, 0], [0, -1]], [0, 0.5]), layer_of([[1, 1]], [0]))
    calls: list[int] = []

    def first() -> Floats:
        calls.append(1)
        return np.array([[1], [-1]], np.float32)

    inputs = inputs_by_layer(network + other, 2, first)
    assert not calls, "nobody has asked"
    assert [inputs(number).ravel().tolist() for number in range(4)] == [[1, -1], [1, 0], [1, -1], [1, 1.5]]
    assert len(calls) == 2


@ENGINES
@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_engines_give_the_observations_and_for_critics_the_actions(
    engine: str, algo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(algo, engine=engine, topology={"rule": "rigl", "interval": 1}, agent={"policy_delay": 1})
    learner = make_learner(config, SPACES)
    seen: dict[str, list[Floats]] = {}
    for name, optimizer in learner._optimizers().items():  # type: ignore[attr-defined]
        monkeypatch.setattr(
            optimizer.evolution,
            "rewire_layer",
            lambda layer, name=name: seen.setdefault(name, []).append(layer.inputs()) or (layer.mask, layer.weights),
        )
    batch = random_batch(np.random.default_rng(0))
    learner.update(batch)
    half = len(seen["critic"]) // 2
    for first in (0, half):
        np.testing.assert_array_equal(seen["critic"][first], np.concatenate([batch.observations, batch.actions]))
    np.testing.assert_array_equal(seen["policy"][0], batch.observations)
    assert [len(each) for each in seen["policy"]] == [layer.shape[1] for layer in learner.policy_layers()]
