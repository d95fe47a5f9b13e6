"""What commands take from the environment where no option says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.rllib.config import RLx2Config
from tests.support.runs import database_uri, small_arguments


@pytest.mark.parametrize(("options", "name"), [([], "mine"), (["--experiment", "tests"], "tests")])
def test_experiment(options: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database_uri(tmp_path))
    directory = tmp_path / "run"
    assert run(["train", *small_arguments(steps=200), "--out", str(directory), *options]) == 0
    assert json.loads((directory / "run.json").read_text())["experiment"] == name
    from mlflow.tracking import MlflowClient

    client = MlflowClient(database_uri(tmp_path))
    assert [each.name for each in client.search_experiments() if each.name in ("mine", "tests", "rlx2")] == [name]
    assert RLx2Config().mlflow_experiment == "mine"
