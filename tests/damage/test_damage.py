"""Thirty cases of damage; `python -m tests.damage` runs more."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.damage.cases import DAMAGES, Harness, kinds_of_files, names


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    return Harness(tmp_path_factory.mktemp("damage"))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(30))
def test_killed_and_damaged_campaign_is_complete_and_equal_or_names_the_file(number: int, harness: Harness) -> None:
    case = harness.run(number)
    assert case.fault is None, case


def test_files_are_of_kinds(tmp_path: Path) -> None:
    inside = [f"trials/0000{n}-seed={n}/checkpoints/step_00{n}00/values.json" for n in range(3)]
    for name in (*inside, "tune/a-1/x.pkl", "tune/y.pkl", "record.json", "trials/x/run.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {kind: len(files) for kind, files in kinds_of_files(tmp_path).items()} == {
        "record.json": 1,
        "trials/*/checkpoints/step_N/values.json": 3,
        "tune/*.pkl": 2,
    }


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_changes_a_file(damage: object, tmp_path: Path) -> None:
    assert callable(damage)
    file = tmp_path / "file"
    for seed in range(20):
        file.write_bytes(b"some content")
        damage(file, random.Random(seed))
        assert not file.exists() or file.read_bytes() != b"some content"


def test_sentence_names_a_file_whole_or_by_its_checkpoint() -> None:
    file = Path("/a/trials/x/checkpoints/step_1/values.json")
    assert names(f"{file} is damaged.", file)
    assert names("The checkpoint /a/trials/x/checkpoints/step_1 is damaged (values.json is cut short).", file)
    assert not names("1 of 4 trials failed (x).", file)
