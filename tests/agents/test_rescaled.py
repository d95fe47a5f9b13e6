"""Weights rescaled over the active ones of their layer: by hand, against autograd, engine against engine, resumed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from rlx2_ray.agents.engines import make_learner
from rlx2_ray.agents.sparse.raw_weights import RawWeights
from rlx2_ray.agents.torch import rescaling
from rlx2_ray.config import resolve
from rlx2_ray.networks.rescaling import gain_of, rescaled
from rlx2_ray.networks.sparse_layer import Layers, SparseLayer, from_arrays
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import BadInput
from tests.agents.small import ALGORITHMS, ENGINES, SPACES, check_resumes, random_batch, small_config
from tests.agents.test_agreement import SIZES, Pair, check_agreement
from tests.networks.networks import random_layers

BOTH = {"hidden": [16, 16], "rescaled": "both"}


def test_by_hand() -> None:
    # Active weights 1, 2, 6: mean 3, variance 14/3; three to one unit, so over the root of 3.
    layer = SparseLayer((1, 5), np.array([0, 2, 3], np.int32), np.array([1, 2, 6], np.float32), np.zeros(1, np.float32))
    (made,) = rescaled((layer,))
    expected = np.array([-2, -1, 3]) / math.sqrt(14 / 3) / math.sqrt(3)
    np.testing.assert_allclose(made.weights, expected, rtol=1e-6)
    assert made.bias is layer.bias
    np.testing.assert_allclose(rescaled((made,))[0].weights, made.weights, rtol=1e-6)


def layers() -> Layers:
    """Two of which the sparse engine gives to BLAS, inactive weights among them, and one of its own kind."""
    return random_layers(40, 64, 48, density=0.8) + random_layers(48, 3, density=0.3)


@pytest.mark.parametrize("engine", ["numpy", "sparse", "torch"])
def test_mean_and_deviation(engine: str) -> None:
    given = tuple(layer._replace(weights=3 * layer.weights + np.float32(0.7)) for layer in layers())
    if engine == "sparse":
        model = SparseModel(given)
        RawWeights(model)
        made = model.layers()
        assert np.count_nonzero(model.kernel.parameters) == sum(
            np.count_nonzero(each) for layer in made for each in (layer.weights, layer.bias)
        )
    elif engine == "torch":
        made = tuple(SparseLayer.from_dense(_rescaled(layer), layer.mask(), layer.bias) for layer in given)
    else:
        made = rescaled(given)
    for layer in made:
        gain = gain_of(len(layer.weights), layer.shape[0])
        assert layer.weights.mean() == pytest.approx(0, abs=1e-6)
        assert layer.weights.std() == pytest.approx(gain, rel=1e-5)


def _rescaled(layer: SparseLayer) -> Any:
    return rescaling.rescaled(torch.from_numpy(layer.scatter()), torch.from_numpy(layer.mask())).numpy()


def test_the_gradient_is_that_of_autograd() -> None:
    given, generator = layers(), np.random.default_rng(0)
    model = SparseModel(given)
    raw = RawWeights(model)
    slopes = tuple(
        layer._replace(weights=generator.standard_normal(layer.weights.shape, np.float32)) for layer in given
    )
    model.kernel.gradient[:] = model.join(slopes)
    raw.stepped(model)
    for layer, slope, ours in zip(given, slopes, model.split(model.kernel.gradient), strict=True):
        weights = torch.tensor(layer.weights, dtype=torch.float64, requires_grad=True)
        deviation = torch.sqrt(weights.var(unbiased=False) + 1e-8)
        made = gain_of(len(weights), layer.shape[0]) * (weights - weights.mean()) / deviation
        (expected,) = torch.autograd.grad((made * torch.from_numpy(slope.weights)).sum(), weights)
        np.testing.assert_allclose(ours.weights, expected.numpy(), atol=1e-5 * float(expected.abs().max()))
        mask = torch.from_numpy(layer.mask())
        theirs = rescaling.raw_gradient(torch.from_numpy(slope.scatter()), torch.from_numpy(layer.scatter()), mask)
        np.testing.assert_allclose(theirs[mask].numpy(), expected.numpy(), atol=1e-5 * float(expected.abs().max()))
        assert not theirs[~mask].any()


@ALGORITHMS
@pytest.mark.parametrize("sizes", ["small", "nearly dense"])
@pytest.mark.parametrize("agent", [{}, {"grown_steps": "own"}])
def test_the_engines_agree(algo: str, sizes: str, agent: dict[str, str]) -> None:
    agent = {"learning_rate": 1e-3, "policy_delay": 2, "tau": 0.1, **agent}
    pair = Pair(algo, SIZES[sizes], agent=agent, network={"rescaled": "both"}, topology={"interval": 3})
    before = pair.warm_up("torch", 22).arrays
    for _ in range(4):
        pair.update(pair.batch(40))
        check_agreement(before, pair)


@ENGINES
@pytest.mark.parametrize(("which", "models"), [("policy", ["policy"]), ("critic", ["critic"]), ("both", None)])
def test_what_is_played_and_kept_is_rescaled(engine: str, which: str, models: list[str] | None) -> None:
    config = small_config("td3", engine=engine, network={**BOTH, "rescaled": which}, policy={"average": 20})
    learner, generator = make_learner(config, SPACES), np.random.default_rng(0)
    for updates in (0, 5):
        for _ in range(updates):
            learner.update(random_batch(generator))
        arrays = learner.state().arrays
        for model in ("policy", "critic"):
            is_rescaled = models is None or model in models
            assert is_rescaled == all(_is_rescaled(layer) for layer in from_arrays(arrays, model))
    assert learner.evaluated_weights().layers[0].weights.tobytes() == arrays["average_policy.0.weights"].tobytes()


def _is_rescaled(layer: SparseLayer) -> bool:
    return abs(layer.weights.std() / gain_of(len(layer.weights), layer.shape[0]) - 1) < 1e-4


@ENGINES
@ALGORITHMS
@pytest.mark.parametrize("method", ["rigl", "prune"])
def test_it_goes_on_from_a_state(engine: str, algo: str, method: str) -> None:
    topology = {"interval": 2, "start_update": 0, "end_update": 60}
    check_resumes(small_config(algo, method=method, engine=engine, network=BOTH, topology=topology))


@ENGINES
@ALGORITHMS
def test_before_its_first_step_too(engine: str, algo: str) -> None:
    config = small_config(algo, engine=engine, network={"rescaled": "both"})
    learner, again = make_learner(config, SPACES), make_learner(config, SPACES)
    again.restore(learner.state())
    for name, array in learner.state().arrays.items():
        assert np.array_equal(again.state().arrays[name], array), name


def test_what_does_not_go_together() -> None:
    with pytest.raises(BadInput, match=r"^network.rescaled is both but topology.rule is groups, .*: leave it out.$"):
        resolve({"method": "nm", "network": {"rescaled": "both"}})
