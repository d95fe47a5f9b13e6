"""The outputs for one observation against the plain reference, for every kind of layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from rlx2_ray.kernels import reference
from rlx2_ray.kernels.inference import network_outputs
from rlx2_ray.networks.sparse_layer import Layers
from rlx2_ray.networks.sparse_model import SparseModel
from rlx2_ray.types import Floats
from tests.kernels.models import Case, cases
from tests.networks.networks import random_layers


def outputs(layers: Layers, observation: Floats, squashed: int = 0) -> Any:
    kernel = SparseModel(layers).kernel
    structure, units = kernel.structure, np.full(len(kernel.workspace), 1e30, np.float32)
    arrays = structure.layers.view(np.int64), structure.row_start, structure.units, structure.connections
    return network_outputs(*arrays, kernel.parameters, observation, units, squashed)


def expected_outputs(case: Case, observation: Floats) -> Any:
    return reference.forward(case.dense, 1, observation[:, None])[-1][:, 0]


@given(cases(networks=1))
def test_outputs(case: Case) -> None:
    observation = case.draw(case.inputs)
    assert np.array_equal(outputs(case.layers, observation), expected_outputs(case, observation))


KINDS = pytest.mark.parametrize(
    ("sizes", "density", "kind"),
    [
        ((40, 40, 3), 0.9, "dense"),
        ((40, 40, 3), 0.1, "short rows"),
        ((40, 40, 3), 0.4, "long rows"),
        ((300, 2), 0.5, "long rows of outputs"),
    ],
)


@KINDS
@pytest.mark.parametrize("squashed", [0, 1, 2])
def test_each_kind_of_layer(sizes: tuple[int, ...], density: float, kind: str, squashed: int) -> None:
    layers = random_layers(*sizes, density=density)
    assert kind_of_first(SparseModel(layers)) == kind
    generator = np.random.default_rng(1)
    observation = generator.standard_normal(sizes[0], np.float32)
    expected = expected_outputs(Case(layers, 1, 0, generator), observation)
    expected[:squashed] = np.tanh(expected[:squashed])
    assert np.allclose(outputs(layers, observation, squashed), expected, rtol=1e-5, atol=1e-5)


def kind_of_first(model: SparseModel) -> str:
    layer = model.kernel.structure.layers[0]
    if layer["is_dense"]:
        return "dense"
    if layer["connections"] < layer["connections_end"]:
        return "short rows"
    return "long rows of outputs" if layer["is_output"] else "long rows"


def test_a_result_is_the_callers_own() -> None:
    kernel = SparseModel(random_layers(3, 2)).kernel
    structure, units = kernel.structure, np.zeros(5, np.float32)
    arrays = structure.layers.view(np.int64), structure.row_start, structure.units, structure.connections
    first = network_outputs(*arrays, kernel.parameters, np.ones(3, np.float32), units, 1)
    kept = first.copy()
    network_outputs(*arrays, kernel.parameters, np.zeros(3, np.float32), units, 1)
    assert np.array_equal(first, kept)
