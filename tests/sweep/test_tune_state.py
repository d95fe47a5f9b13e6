"""State of Tune that a kill may leave behind."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from rlx2_ray.sweep.tune_state import OF_SEARCH, forget_unusable

FIRST, SECOND = "2026-11-26_06-46-49", "2026-11-26_06-59-01"
WHOLE = {"tuner.pkl": "x", f"experiment_state-{FIRST}.json": "{}", f"search_gen_state-{FIRST}.json": "x"} | {
    f"searcher-state-{FIRST}.pkl": "{}"
}


def is_kept(folder: Path, files: dict[str, str]) -> bool:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    forget_unusable(folder, OF_SEARCH)
    return folder.exists() and {path.name for path in folder.iterdir()} == files.keys()


def test_whole_state_is_kept(tmp_path: Path) -> None:
    assert is_kept(tmp_path / "tune", WHOLE)


def test_whole_state_of_a_later_session_is_kept(tmp_path: Path) -> None:
    """Tune reads the newest of each; the search may be that of the session before."""
    assert is_kept(tmp_path / "tune", WHOLE | {f"experiment_state-{SECOND}.json": "{}"})


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"tuner.pkl": "x"},
        {name: text for name, text in WHOLE.items() if not name.startswith("searcher")},
        {name: text for name, text in WHOLE.items() if not name.startswith("search_gen")},
        {name: text for name, text in WHOLE.items() if not name.startswith("experiment")},
        WHOLE | {f"experiment_state-{FIRST}.json": '{"trial_data": ['},
        WHOLE | {f"experiment_state-{FIRST}.json": ""},
        WHOLE | {f"experiment_state-{SECOND}.json": '{"trial_data": ['},
    ],
)
def test_other_state_is_forgotten(files: dict[str, str], tmp_path: Path) -> None:
    assert not is_kept(tmp_path / "tune", files)
    assert not (tmp_path / "tune").exists()


def test_no_state_at_all(tmp_path: Path) -> None:
    forget_unusable(tmp_path / "tune", OF_SEARCH)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "reporter._newest",
        "reporter.BudgetStopper",
        "compression.searcher._newest",
        "description.space.Parameter",
        "description.space_tune.clip",
    ],
)
def test_what_tune_s_state_names_stays_where_it_is(name: str) -> None:
    """Or sweeps that were begun before could not go on: Tune pickles these by their names."""
    module, _, attribute = f"rlx2_ray.sweep.{name}".rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)
