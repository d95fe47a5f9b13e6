"""The notebook opens on its results, and they are what its cells give today."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.notebook import FILE, run_cells


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_saved_outputs_are_those_of_the_cells() -> None:
    notebook = json.loads(FILE.read_text())
    saved = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    fresh = run_cells(notebook)
    assert [kinds(each) for each in saved] == [kinds(each) for each in fresh]
    assert "image/png" in str(kinds(saved[3]))
    assert [text(each) for each in saved[:-1]] == [text(each) for each in fresh[:-1]]
    # An episode of a walker may end elsewhere on another processor.
    assert min(int(text(each)) for each in (saved[-1], fresh[-1])) > 3000


def kinds(outputs: list[dict[str, Any]]) -> list[list[str]]:
    return [sorted(each["data"]) for each in outputs]


def text(outputs: list[dict[str, Any]]) -> str:
    return "".join(part for each in outputs for part in each["data"]["text/plain"])
