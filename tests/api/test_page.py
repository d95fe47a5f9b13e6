"""The examples of docs/python.md, run from the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import ROOT, database_uri

PAGE = (ROOT / "docs/python.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_examples_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database_uri(tmp_path))
    (tmp_path / "results").symlink_to(ROOT / "results")
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        own: dict[str, Any] = {}
        exec(example, own)
        names |= own
    assert set(re.findall(r"rlx2_ray\.(\w+)\(", "".join(EXAMPLES))) == {
        *("describe", "load_curves", "load_policy", "load_runs", "train"),
    }
    assert names["result"].values["method"] == "dense"
    assert names["action"].shape == (1,)
    assert sorted(names["runs"].method) == ["dense", "rlx2"]
    assert names["hopper"].index.max() == 1_000_000


def test_examples_are_short() -> None:
    assert max(len(example.split("\n\n", 1)[1].splitlines()) for example in EXAMPLES) <= 3  # after the import
    assert len(EXAMPLES) == PAGE.count("```python")


def test_page_names_the_columns(run: Path) -> None:
    import rlx2_ray

    named = set(re.findall(r"`([a-z_0-9]+)`", PAGE.partition("| columns | are |")[2].partition("\n\n")[0]))
    assert named == set(rlx2_ray.load_runs(run).columns)
