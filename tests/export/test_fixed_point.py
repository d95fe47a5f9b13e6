"""A policy in integers alone: worked by hand, near to its floats, and in C the same to the bit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlx2_ray.export.c_compiler import compiled
from rlx2_ray.export.c_fixed import tables_of
from rlx2_ray.export.c_reader import CSource, read_source
from rlx2_ray.export.c_source import write_text
from rlx2_ray.export.fixed_point import (
    MOST,
    MOST_SUM,
    OUTPUT_STEPS,
    FixedLayer,
    FixedNetwork,
    Shorts,
    squash,
    sums_fit,
    to_fixed_point,
)
from rlx2_ray.export.identity import describe
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.quantize import rounded
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork
from rlx2_ray.networks.policy_file import PolicyFile
from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.types import Damaged
from tests.export.policies import constant_policy, in_units, observations_for, policies, random_policy
from tests.export.test_c import SANITIZERS, STRICT, compiler_with, needs_compiler

CASTS = "-fsanitize=float-cast-overflow"  # which "undefined" does not have
MAIN = """\
#include "policy.h"
#include <stdio.h>

int main(void)
{
    int16_t observation[POLICY_OBSERVATION_SIZE], action[POLICY_ACTION_SIZE];
    while (fread(observation, sizeof observation, 1, stdin) == 1) {
        policy_act_fixed(observation, action);
        fwrite(action, sizeof action, 1, stdout);
    }
    return 0;
}
"""


def layer(weights: list[list[int]], bias: list[int], multipliers: list[int], shifts: list[int]) -> FixedLayer:
    return FixedLayer(
        np.array(weights, np.int8),
        np.array(bias, np.int32),
        np.array(multipliers, np.int32),
        np.array(shifts, np.uint8),
    )


# Of two observations up to 100: a unit of 3 a - 2 b + 5, halved, and one of -b, as it is; then one action.
BY_HAND = FixedNetwork(
    [layer([[3, -2], [0, -1]], [5, 0], [1, 1], [1, 0]), layer([[64, -128 + 1]], [0], [1], [0])],
    np.array([100, 50], np.int16),
    1.0,
)


@pytest.mark.parametrize(
    ("observation", "hidden", "action"),
    [
        ((10, 4), (14, 0), 14 * 64),  # 27 / 2 is 14 by rounding halves up; -4 is no unit's value
        ((-10, -4), (0, 4), -127 * 4),  # -17 / 2
        ((1000, 0), (50, 0), 50 * 64),  # 100 is the most that comes in, and 50 of 152.5 the most that goes on
        ((-1000, -1000), (0, 50), -127 * 50),
    ],
)
def test_by_hand(observation: tuple[int, int], hidden: tuple[int, int], action: int) -> None:
    first = FixedNetwork(BY_HAND.layers[:1], BY_HAND.limits[:1], 1.0)
    inputs = np.array(observation, np.int16)
    limited = np.minimum(np.maximum(first_values(first, inputs), 0), 50)
    assert tuple(limited) == hidden
    assert BY_HAND.act(inputs) == squash(np.array([action]))


def first_values(network: FixedNetwork, inputs: Shorts) -> np.ndarray:
    """Before tanh, by Python's own integers."""
    (only,) = network.layers
    found = []
    for row, bias, multiplier, shift in zip(*map(np.ndarray.tolist, only[:4]), strict=True):
        clipped = [max(-int(network.limits[0]), min(int(network.limits[0]), int(value))) for value in inputs]
        total = sum(weight * value for weight, value in zip(row, clipped, strict=True)) + bias
        size = (abs(total) * multiplier + (1 << shift >> 1)) >> shift
        found.append(size if total > 0 else -size)
    return np.array(found)


def test_squash_is_tanh_and_odd() -> None:
    values = np.arange(-MOST, MOST + 1)
    squashed = squash(values)
    assert np.abs(squashed / MOST - np.tanh(values / OUTPUT_STEPS)).max() < 1.2e-4
    assert np.array_equal(squashed, -squashed[::-1])
    assert np.all(np.diff(squashed.astype(int)) >= 0)


@settings(max_examples=30)
@given(policies())
def test_it_acts_as_the_network_it_is_rounded_from(policy: PolicyFile) -> None:
    network = compact(policy.layers, policy.spaces.action_size)
    observations = observations_for(policy)
    fixed = to_fixed_point(network, observations)
    expected = DenseNetwork(rounded(network, np.int8)).outputs(observations, policy.spaces.action_size)
    np.testing.assert_allclose(fixed.outputs(observations), expected, rtol=0, atol=2e-3)


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False), min_size=2, max_size=2))
def test_any_number_saturates(numbers: list[float]) -> None:
    quantized = BY_HAND.quantized(np.array(numbers, np.float32))
    assert np.abs(quantized).max() <= 100
    for number, whole in zip(numbers, quantized.tolist(), strict=True):
        assert abs(whole - max(-100, min(100, number))) <= 0.5


def test_sums_that_could_overflow_are_found() -> None:
    weights = np.full((1, 512), 127, np.int8)
    room = MOST_SUM - 512 * 127 * MOST
    assert sums_fit(weights, np.array([room], np.int32), MOST)
    assert not sums_fit(weights, np.array([room + 1], np.int32), MOST)
    wide = [DenseLayer(np.full((1, 5000), 1, np.float32), np.zeros(1, np.float32))]
    assert to_fixed_point(wide, np.ones((1, 5000), np.float32)).limits[0] == 2**11 - 1  # 5000 x 127 x 2047 fit


def test_numbers_that_are_too_far_apart_are_refused() -> None:
    network = [DenseLayer(np.full((1, 1), 1e30, np.float32), np.zeros(1, np.float32))]
    with pytest.raises(ValueError, match="too far apart"):
        to_fixed_point(network, np.ones((1, 1), np.float32))


def write(policy: PolicyFile, path: Path) -> tuple[CSource, FixedNetwork]:
    seen = observations_for(policy)
    if policy.normalization:
        seen = policy.normalization.apply(seen)
    network = to_fixed_point(compact(policy.layers, policy.spaces.action_size), seen)
    tables, fixed = tables_of(network)
    text = write_text(path, tables, policy.spaces, describe(policy), ["A test's."], "1", policy.normalization, fixed)
    path.write_text(text.source)
    path.with_suffix(".h").write_text(text.header)
    return read_source(path), network


def check_bits(policy: PolicyFile, folder: Path) -> None:
    """On integers of all sizes, under sanitizers; what is read back is what was written."""
    source, network = write(policy, folder / "policy.c")
    assert source.is_ours
    (folder / "main.c").write_text(MAIN)
    command = compiler_with([*STRICT, *SANITIZERS, CASTS, "policy.c", "main.c", "-o", "program"])
    subprocess.run(command, cwd=folder, check=True)
    generator, sizes = np.random.default_rng(0), (500, policy.spaces.observation_size)
    observations = (generator.integers(-(2**15), 2**15, sizes) >> generator.integers(0, 15, sizes)).astype(np.int16)
    said = subprocess.run([folder / "program"], input=observations.tobytes(), capture_output=True, check=True).stdout
    actions = np.frombuffer(said, np.int16).reshape(-1, policy.spaces.action_size)
    assert np.array_equal(actions, network.act(observations))


@needs_compiler
@pytest.mark.parametrize("density", [(0.126, 0.01, 0.45), (1, 1, 1), (0.3, 0.05, 0.0)])
def test_c_is_the_same_to_the_bit(density: tuple[float, ...], tmp_path: Path) -> None:
    check_bits(random_policy("td3", [11, 256, 256, 3], density), tmp_path)


@needs_compiler
def test_c_of_constant_fan_in_is_the_same_to_the_bit(tmp_path: Path) -> None:
    check_bits(constant_policy(), tmp_path)


@needs_compiler
@pytest.mark.slow
@settings(max_examples=30)
@given(policies())
def test_c_of_random_structures_is_the_same_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, policy: PolicyFile
) -> None:
    check_bits(policy, tmp_path_factory.mktemp("c"))


@needs_compiler
@pytest.mark.parametrize("is_normalized", [False, True])
def test_floats_come_in_and_go_out_in_units(is_normalized: bool, tmp_path: Path) -> None:
    policy = random_policy("sac", [5, 16, 2], [0.5, 0.7])
    if is_normalized:
        mean, scale = np.arange(5, dtype=np.float32), np.full(5, 0.5, np.float32)
        policy = policy._replace(normalization=Normalization(mean, scale))
    source, network = write(policy, tmp_path / "policy.c")
    observations = observations_for(policy)
    observations[0, 1], observations[1, 2], observations[2] = np.nan, np.inf, 1e30
    with compiled(compiler_with([*STRICT, *SANITIZERS, CASTS]), source) as act:
        actions = act(observations)
    assert np.isnan(actions[:2]).all()
    inputs = policy.normalization.apply(observations.copy()) if policy.normalization else observations
    expected = in_units(policy, network.outputs(inputs[2:]))
    np.testing.assert_allclose(actions[2:], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(source.act(observations[2:]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("static const int16_t limits[2] = {\n    32767", "static const int16_t limits[2] = {\n    -5", "limits"),
        ("steps[1] = {\n    ", "steps[1] = {\n    3.0f, /*", "steps"),
        ("int32_t bias_1[8] = {\n    ", "int32_t bias_1[8] = {\n    2147483647, /*", "too great|has"),
        ("squashed[257] = {\n    0", "squashed[257] = {\n    1", "sizes or contents"),
        ("static const uint8_t shifts_1", "static const uint8_t shafts_1", "shafts_1"),
    ],
)
def test_altered_tables_are_refused(old: str, new: str, problem: str, tmp_path: Path) -> None:
    source, _ = write(random_policy("td3", [3, 8, 1], [1, 1]), tmp_path / "policy.c")
    assert old in source.text.source
    altered = source.text._replace(source=source.text.source.replace(old, new, 1))
    source.text = altered
    assert not source.is_ours
    with pytest.raises(Damaged, match=problem):
        _ = source.tables
