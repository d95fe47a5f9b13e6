"""A person who has agreed to nothing yet, in a folder of their own, whose modules are gone afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import pytest

from rlx2_ray import plugins
from rlx2_ray.agents.evolution.make import EVOLUTIONS
from rlx2_ray.envs import modules
from rlx2_ray.target_rules import TARGET_RULES
from tests.support.runs import database_uri


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database_uri(tmp_path))
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setenv(modules.VARIABLE, "")
    monkeypatch.setattr(sys, "path", [*sys.path])
    for registry in (EVOLUTIONS, TARGET_RULES):
        monkeypatch.setattr(registry, "_rules", dict(registry._rules))
    registered = dict(gymnasium.registry)
    yield work
    gymnasium.registry.clear()
    gymnasium.registry.update(registered)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
