"""`rlx2_ray.train` and `describe` do what the commands do."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import rlx2_ray
from rlx2_ray.cli.main import run as rlx2
from rlx2_ray.config import load
from tests.support.commands import succeeded
from tests.support.runs import SMALL, database_uri, environment, small_arguments


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database_uri(tmp_path))
    return tmp_path


def test_it_trains_the_run_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert rlx2(["train", *small_arguments(), "--out", "by_command", "--json"]) == 0
    by_command = json.loads(capsys.readouterr().out.splitlines()[-1])
    result = rlx2_ray.train(SMALL, out="by_program")
    assert result.values["policy_digest"] == by_command["policy_digest"] == result.policy().digest
    assert result.score == by_command["score"]
    assert result.deployed == by_command["deployed"]["return_mean"]
    assert result.compression == by_command["compression"]
    assert result.directory == Path("by_program")


def test_it_trains_in_a_thread_that_hears_no_signals() -> None:
    results: list[rlx2_ray.Result] = []
    thread = threading.Thread(target=lambda: results.append(rlx2_ray.train(SMALL, out="run")))
    thread.start()
    thread.join()
    assert results[0].policy().env_id == "InvertedPendulum-v5"


def test_keywords_win_over_a_mapping_and_a_file(folder: Path) -> None:
    (folder / "run.yaml").write_text("algo: sac\nagent: {discount: 0.9}\n")
    described = rlx2_ray.describe("run.yaml", env="Hopper-v5", policy_sparsity=0.98)
    assert (described["algo"], described["env_id"], described["policy_sparsity"]) == ("sac", "Hopper-v5", 0.98)
    assert rlx2_ray.describe({"algo": "sac"}, algo="td3", env={"id": "Hopper-v5"})["algo"] == "td3"


def test_default_directory_has_the_resolved_configuration(folder: Path) -> None:
    result = rlx2_ray.train(SMALL, steps=300, agent={"discount": 0.9})
    assert result.directory.parent == Path("runs")
    stored = load(result.directory / "config.yaml")
    assert (stored["steps"], stored["agent"]["discount"], stored["agent"]["batch_size"]) == (300, 0.9, 16)


def test_describe_is_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    expected = succeeded(capsys, "describe", "--observation-size", "11", "--action-size", "3")
    assert rlx2_ray.describe(observation_size=11, action_size=3) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"agnet": {"discount": 0.9}}, "agnet.*agent"),
        ({"steps": True}, "steps is True"),
        ({"method": "magic"}, "magic"),
        ({"config": 3}, "There is no key config"),
    ],
)
def test_bad_keys_are_one_sentence_and_nothing_is_written(folder: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(rlx2_ray.BadInput, match=words):
        rlx2_ray.train(**given, out="run")
    with pytest.raises(rlx2_ray.BadInput, match="path of a YAML file"):
        rlx2_ray.train(3)  # type: ignore[arg-type]
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("use", "unloaded"),
    [
        ("", {"numpy", "pandas", "ray", "torch", "gymnasium", "pydantic"}),
        ("rlx2_ray.load_policy", {"pandas", "ray", "torch", "mlflow", "plotly"}),
        ("rlx2_ray.load_runs", {"ray", "torch", "mlflow", "plotly", "gymnasium"}),
        ("rlx2_ray.train", {"pandas", "ray", "torch", "plotly"}),
        ("rlx2_ray.describe(observation_size=3, action_size=1)", {"pandas", "ray", "torch", "gymnasium", "numba"}),
    ],
)
def test_each_name_loads_what_it_needs(use: str, unloaded: set[str]) -> None:
    code = f"import sys, rlx2_ray; {use or 'pass'}; print([name for name in {sorted(unloaded)} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_all_names_are_there_and_no_others() -> None:
    assert all(hasattr(rlx2_ray, name) for name in rlx2_ray.__all__)
    assert set(rlx2_ray.__all__) <= set(dir(rlx2_ray))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = rlx2_ray.nonsense
