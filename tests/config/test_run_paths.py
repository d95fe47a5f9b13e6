"""Paths to other runs are resolved at once, so that a run goes on from any folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.config.run_paths import with_absolute_runs


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ({"topology": {"ticket": "a/b", "rule": "static"}}, {"topology": {"ticket": "HERE/a/b", "rule": "static"}}),
        ({"target": {"expert": "../a"}, "seed": 1}, {"target": {"expert": "ABOVE/a"}, "seed": 1}),
        ({"topology": {"ticket": "/a"}}, {"topology": {"ticket": "/a"}}),
        ({"topology": {"ticket": "~/a"}}, {"topology": {"ticket": "HOME/a"}}),
        ({"topology": {"ticket": None}}, {"topology": {"ticket": None}}),
        ({"topology": {"ticket": 7}}, {"topology": {"ticket": 7}}),  # which the schema refuses
        ({"topology": "x", "env": {"id": "a"}}, {"topology": "x", "env": {"id": "a"}}),
        (
            {"param_space": {"topology.ticket": {"grid": ["a", "/b"]}, "seed": {"grid": [1]}}},
            {"param_space": {"topology.ticket": {"grid": ["HERE/a", "/b"]}, "seed": {"grid": [1]}}},
        ),
        (
            {"param_space": {"seed, target.expert": {"grid": [[1, "a"], [2, None]]}}},
            {"param_space": {"seed, target.expert": {"grid": [[1, "HERE/a"], [2, None]]}}},
        ),
        (
            {"queue": [{"name": "n", "topology": {"ticket": "a"}}, "b.yaml"]},
            {"queue": [{"name": "n", "topology": {"ticket": "HERE/a"}}, "b.yaml"]},
        ),
        ({}, {}),
    ],
)
def test_a_run_is_named_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Any, resolved: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    places = {"HERE": str(tmp_path), "ABOVE": str(tmp_path.parent), "HOME": "/home/me"}
    assert repr(with_absolute_runs(given)) == _placed(repr(resolved), places)


def _placed(text: str, places: dict[str, str]) -> str:
    for name, place in places.items():
        text = text.replace(f"'{name}/", f"'{place}/")
    return text
