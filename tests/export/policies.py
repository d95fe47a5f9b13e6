"""Policies of every odd structure: empty rows, columns that nothing reads, layers one unit wide, very wide ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from rlx2_ray.footprint.compact import BLOCKS
from rlx2_ray.networks.policy import densify
from rlx2_ray.networks.policy_file import PolicyFile
from rlx2_ray.networks.sparse_layer import SparseLayer
from rlx2_ray.sparse.circulant import shared
from rlx2_ray.types import Floats, Spaces

WIDE, VERY_WIDE = 300, 66_000  # more columns than a byte, and than two, can number


def random_layer(outputs: int, inputs: int, density: float, generator: np.random.Generator) -> SparseLayer:
    mask = generator.random((outputs, inputs)) < density
    weights = generator.uniform(-1, 1, mask.shape).astype(np.float32) / np.float32(np.sqrt(max(1, density * inputs)))
    return SparseLayer.from_dense(weights, mask, generator.uniform(-1, 1, outputs).astype(np.float32))


def random_policy(algo: str, sizes: Sequence[int], densities: Sequence[float], seed: int = 0) -> PolicyFile:
    """`sizes`: of observation, hidden layers and action."""
    generator = np.random.default_rng(seed)
    widths = [*sizes[:-1], sizes[-1] * (1 if algo == "td3" else 2)]
    shapes = zip(widths[1:], widths, densities, strict=False)
    layers = tuple(random_layer(outputs, inputs, density, generator) for outputs, inputs, density in shapes)
    low = generator.uniform(-3, 0, sizes[-1]).tolist()
    spaces = Spaces(sizes[0], sizes[-1], tuple(low), tuple(bound + 2.5 for bound in low))
    return PolicyFile(layers, algo, {"id": "Task-v0", "kwargs": {}}, spaces)


def constant_policy() -> PolicyFile:
    """Of 20 observations, hidden layers of 300 and 150 units with 2 and 5 weights each, and 2 actions of all units."""
    generator = np.random.default_rng(0)
    layers = []
    for outputs, inputs, fan_in in ((300, 20, 2), (150, 300, 5), (2, 150, 150)):
        mask = np.argsort(generator.random((outputs, inputs)), axis=1) < fan_in
        weights = generator.uniform(0.5, 1, mask.shape).astype(np.float32) * generator.choice([-1, 1], mask.shape)
        layers.append(SparseLayer.from_dense(weights.astype(np.float32), mask, np.ones(outputs, np.float32)))
    spaces = Spaces(20, 2, (-1.0, -2.0), (1.0, 2.0))
    return PolicyFile(tuple(layers), "td3", {"id": "Task-v0", "kwargs": {}}, spaces)


def group_policy(sizes: Sequence[int], densities: Sequence[float], block: int, seed: int = 0) -> PolicyFile:
    """As `random_policy` of TD3, but weights share values along the diagonals of blocks, and go with them."""
    policy, generator = random_policy("td3", sizes, densities, seed), np.random.default_rng(seed)
    layers = []
    for layer, density in zip(policy.layers, densities, strict=False):
        weights = shared(generator.uniform(0.1, 1, layer.shape).astype(np.float32), block)
        mask = shared(generator.random(layer.shape, np.float32), block) < density
        layers.append(
            SparseLayer.from_dense(weights / np.float32(1 + np.sqrt(density * layer.shape[1])), mask, layer.bias)
        )
    return policy._replace(layers=tuple(layers))


@st.composite
def group_policies(draw: st.DrawFn) -> PolicyFile:
    sizes = draw(st.lists(st.integers(1, 21) | st.just(WIDE), min_size=2, max_size=4))
    densities = [draw(st.sampled_from([0.0, 0.02, 0.3, 1.0])) for _ in sizes]
    return group_policy(sizes, densities, draw(st.sampled_from(BLOCKS)), draw(st.integers(0, 2**32 - 1)))


@st.composite
def policies(draw: st.DrawFn) -> PolicyFile:
    width = st.integers(1, 6)
    observation_size = draw(width | st.sampled_from([WIDE, VERY_WIDE]))
    hidden = width if observation_size == VERY_WIDE else width | st.just(WIDE)  # for the memory's sake
    sizes = [observation_size, *draw(st.lists(hidden, max_size=3)), draw(st.integers(1, 3))]
    density = st.sampled_from([0.0, 0.01, 0.3, 0.7, 1.0])
    densities = [draw(density) if width < VERY_WIDE else 1e-4 for width in sizes]
    return random_policy(draw(st.sampled_from(["td3", "sac"])), sizes, densities, draw(st.integers(0, 2**32 - 1)))


def observations_for(policy: PolicyFile, count: int = 50) -> Floats:
    size = policy.spaces.observation_size
    return np.random.default_rng(1).standard_normal((count, size), dtype=np.float32)


def trainers_actions(policy: PolicyFile, observations: Floats) -> Floats:
    """In [-1, 1]."""
    size = policy.spaces.action_size
    return densify(policy.layers).outputs(observations, size)[:, :size]


def in_units(policy: PolicyFile, actions: Floats) -> Floats:
    """As an environment's lane scales them."""
    low, high = np.asarray(policy.spaces.action_low), np.asarray(policy.spaces.action_high)
    return np.asarray(low + (actions + np.float64(1)) * (high - low) / 2, np.float32)
