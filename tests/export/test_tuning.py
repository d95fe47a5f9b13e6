"""Tuned integers: what stays as it is from stage to stage, and that they act more like the policy than the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pytest
import torch

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import evaluate
from rlx2_ray.experiment.playback import playable
from rlx2_ray.export import tuning
from rlx2_ray.export.tuning import _Layer, tuned
from rlx2_ray.export.visited import Recorded
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.quantize import quantize, rounded
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, MeanPolicy
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.types import Floats
from tests.support.runs import ROOT

TRAINED = ROOT / "results/inverted_pendulum_policy.safetensors"
ROW = [[-8.0, 0.0, 4.0, 2.0, 1.0, 0.3]]  # 5 weights


def layer_of(weights: list[list[float]]) -> _Layer:
    return _Layer(DenseLayer(np.array(weights, np.float32), np.zeros(len(weights), np.float32)), most=8)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([], [-8, 0, 4, 2, 1, 0.3]),
        ([0.2], [-8, 0, 4, 2, 1, 0.3]),
        ([0.9], [-8, 0, 4, 2, 1, 0]),
        ([1.0], [-8, 0, 4, 2, 1, 0]),
        ([0.5, 1.0], [-8, 0, 4, 2, 1, 0]),
    ],
)
def test_the_largest_are_rounded_first(shares: list[float], expected: list[float]) -> None:
    layer = layer_of(ROW)
    for share in shares:
        layer.round(share)
    assert layer.matrix().tolist()[0] == pytest.approx(expected)


def test_what_is_rounded_stays_and_the_others_are_trained() -> None:
    layer = layer_of(ROW)
    layer.round(0.5)  # three of five
    layer.matrix().sum().backward()
    assert layer.weights.grad is not None
    assert (layer.weights.grad != 0).tolist() == [[False, False, False, False, True, True]]
    with torch.no_grad():
        layer.weights += torch.tensor([[0.0, 9.0, 0.0, 0.0, 20.0, 0.9]])
    assert layer.matrix().tolist()[0] == pytest.approx([-8, 0, 4, 2, 8, 1.2]), "within the integers, and where active"
    layer.round(1.0)
    assert layer.matrix().tolist()[0] == pytest.approx([-8, 0, 4, 2, 8, 1])


def test_row_of_zeros_stays_one() -> None:
    layer = layer_of([[0.0, 0.0]])
    layer.round(1.0)
    assert layer.dense().weights.tolist() == [[0.0, 0.0]]


def visited() -> Floats:
    played = playable(load_policy(TRAINED))
    recorded = Recorded(played.policy)
    with closing(EnvLane(EnvConfig(**played.env), 5, "of this test")) as lane:
        evaluate(recorded, lane, 1, 0)
    return np.stack(recorded.observations)


def test_tuned_integers_act_more_like_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "UPDATES", 60)
    monkeypatch.setattr(tuning, "BATCH", 64)
    monkeypatch.setattr(tuning, "EPISODES", 1)
    policy, observations = load_policy(TRAINED), visited()
    network = compact(policy.layers, policy.spaces.action_size)
    actions = playable(policy).policy.action(observations)

    def error(layers: Sequence[DenseLayer]) -> float:
        return float(np.square(MeanPolicy(DenseNetwork(layers)).action(observations) - actions).mean())

    found = tuned(policy, network, np.int8, TRAINED)
    assert error(found) < error(rounded(network, np.int8)) / 4
    for layer, before in zip(found, network, strict=True):
        integers = quantize(layer.weights, np.int8)
        assert set(np.abs(integers.weights).max(axis=1)) <= {0, 127}
        assert not integers.weights[before.weights == 0].any()
    again = tuned(policy, network, np.int8, TRAINED)
    assert all(np.array_equal(a.weights, b.weights) for a, b in zip(found, again, strict=True))
