"""What an export is estimated to take of a chip: sums worked by hand, and beside what a simulated core took."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.chips.image import COMPILER, CORES, EMULATOR, is_there, measure
from benchmarks.exports import fresh_groups, fresh_policy
from rlx2_ray.cli.main import run
from rlx2_ray.footprint.chip_costs import BLOCK_CODE, CHIPS, COSTS, FIXED, ROW_CODE, Cost, estimate, multiply_adds
from rlx2_ray.footprint.tables import Tables, encode
from rlx2_ray.networks.policy import DenseLayer
from rlx2_ray.networks.policy_file import load_policy, save_policy
from tests.support.runs import ROOT

ROUND = Cost(
    dense_weight=5,
    sparse_weight=8,
    constant_weight=7,
    circulant_weight=6,
    row=20,
    action=100,
    observation=10,
    code=1000,
    stack=50,
)
POLICY = ROOT / "results" / "policies" / "Hopper-v5-td3-rlx2-s5.safetensors"


def layers() -> list[Tables]:
    """Four weights of 40 x 3, and 2 x 40 that are all there."""
    sparse = np.zeros((40, 3), np.float32)
    sparse[[0, 1, 1, 7], [0, 1, 2, 2]] = 0.5
    pairs = (sparse, np.ones((2, 40), np.float32))
    return [encode(DenseLayer(weights, np.zeros(len(weights), np.float32)), None) for weights in pairs]


def test_sums_are_of_weights_rows_actions_and_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    for has_floats in (True, False):
        monkeypatch.setitem(COSTS[has_floats], "float32", ROUND)
    assert multiply_adds(layers()) == 4 + 80
    for found, chip in zip(estimate(layers(), 2000), CHIPS, strict=True):
        assert found.instructions == 4 * 8 + 80 * 5 + 42 * 20 + 2 * 100 + 3 * 10
        assert found.microseconds == round(found.instructions / chip.mhz, 1)
        assert found.flash_bytes == 2000 + 1000
        assert found.ram_bytes == 4 * 40 + 50
    equal = [encode(DenseLayer(np.eye(40, dtype=np.float32), np.zeros(40, np.float32)), None)]
    assert estimate(equal, 0)[0].instructions == 40 * 7 + 40 * 20 + 40 * 100 + 40 * 10
    blocks = [encode(DenseLayer(np.tile(np.eye(4, dtype=np.float32), (10, 10)), np.zeros(40, np.float32), 4), None)]
    assert blocks[0].form == "circulant4"
    assert estimate(blocks, 0)[0].instructions == 400 * 6 + 40 * 20 + 40 * 100 + 40 * 10
    assert estimate(blocks, 0)[0].flash_bytes == 1000 + BLOCK_CODE + 4 * ROW_CODE
    normalized = estimate(layers(), 2000, normalized=True)[0]
    assert normalized.flash_bytes == 3000 + 8 * 3
    assert normalized.ram_bytes == 4 * 40 + 50 + 4 * 3
    assert normalized.instructions == estimate(layers(), 2000)[0].instructions + 2 * 3 * 8


def test_integers_alone_have_costs_and_buffers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COSTS[True], FIXED, ROUND)
    fixed = [
        layer._replace(weights=np.ones(len(layer.weights), np.int8), multipliers=np.ones(layer.outputs, np.int32))
        for layer in layers()
    ]
    found = estimate(fixed, 2000)[1]
    assert found.ram_bytes == 2 * (40 + 2 * 3 + 2) + 50
    assert found.instructions == 4 * 8 + 80 * 5 + 42 * 20 + 2 * 100 + 3 * 10


def test_chips_are_those_that_were_measured() -> None:
    assert {chip.core: (chip.name, chip.mhz) for chip in CHIPS} == {
        name: (core.chip, core.mhz) for name, core in CORES.items()
    }


@pytest.mark.slow
@pytest.mark.skipif(not is_there(), reason=f"there is no {COMPILER} with {EMULATOR}")
@pytest.mark.parametrize("structure", ["free", "constant", "groups"])
@pytest.mark.parametrize("options", [(), ("--int16",), ("--int8",), ("--int8", "--fixed-point")])
def test_estimate_is_near_what_a_simulated_core_takes(
    options: tuple[str, ...], structure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of policies that no cost was fitted to."""
    source, policy = tmp_path / "policy.c", POLICY
    if structure != "free":
        policy = tmp_path / "policy.safetensors"
        is_groups = structure == "groups"
        save_policy(
            policy, fresh_groups("Hopper-v5", 0.97) if is_groups else fresh_policy("Hopper-v5", 0.97, "constant")
        )
    episodes = ("--episodes", "1") if options else ()
    assert run(["export", str(policy), "--format", "c", "--out", str(source), *options, *episodes, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    inputs = load_policy(policy).spaces.observation_size
    observations = np.random.default_rng(3).standard_normal((4, inputs), dtype=np.float32)
    for found in content["estimated_on_chips"]:
        measured = measure(source, observations, CORES[found["core"]])
        assert found["instructions"] == pytest.approx(measured.instructions, rel=0.1)
        assert found["flash_bytes"] == pytest.approx(measured.flash, rel=0.05)
        assert found["ram_bytes"] == pytest.approx(measured.ram, rel=0.25)
