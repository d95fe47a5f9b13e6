"""Exported C on Arm's small cores, in a simulator: it compiles without a warning, and acts there as it did here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chips.image import COMPILER, CORES, EMULATOR, Measured, is_there, measure
from rlx2_ray.cli.main import run
from rlx2_ray.export.check import random_observations
from tests.support.runs import ROOT

POLICY = ROOT / "results" / "policies" / "Hopper-v5-td3-rlx2-99-best-s1.safetensors"
pytestmark = pytest.mark.skipif(not is_there(), reason=f"there is no {COMPILER} with {EMULATOR}")


def measured(folder: Path, core: str, *options: str) -> Measured:
    source = folder / "policy.c"
    assert run(["export", str(POLICY), "--format", "c", "--out", str(source), *options]) == 0
    return measure(source, random_observations(11, 4), CORES[core])


@pytest.mark.parametrize("core", CORES)
def test_floats(core: str, tmp_path: Path) -> None:
    found = measured(tmp_path, core)
    assert found.wrong == 0
    assert found.flash < 8_000
    assert found.ram < 1_000
    assert 2 * 600 < found.instructions < 300 * 600  # of 600 weights


def test_integers_alone_take_a_fifth_where_there_is_no_floating_point_unit(tmp_path: Path) -> None:
    (tmp_path / "float").mkdir()
    floats = measured(tmp_path / "float", "Cortex-M0+")
    fixed = measured(tmp_path, "Cortex-M0+", "--int8", "--fixed-point", "--episodes", "1")
    assert fixed.wrong == 0
    assert 5 * fixed.instructions < floats.instructions


def test_wrong_action_is_counted(tmp_path: Path) -> None:
    measured(tmp_path, "Cortex-M4F")
    source = tmp_path / "policy.c"
    source.write_text(source.read_text().replace("+ *bias++", "- *bias++"))
    assert measure(source, random_observations(11, 1), CORES["Cortex-M4F"]).wrong > 5
