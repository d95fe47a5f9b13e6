"""Whole scripts of RLlib's users, in processes of their own with a Ray of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rllib.test_policy_module import make_file
from tests.support.runs import compile_kernels, environment, rlx2

HERE = Path(__file__).parent


def printed(script: str, *arguments: str, folder: Path) -> Any:
    """What a script prints, among the words of Ray."""
    compile_kernels()
    variables = environment() | {"RAY_AUTH_MODE": "disabled", "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    command = [sys.executable, str(HERE / script), *arguments]
    process = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return json.loads(next(line for line in process.stdout.splitlines() if line.startswith("{")))


@pytest.mark.slow
def test_training_restoring_a_grid_and_a_failing_trial_of_tune(tmp_path: Path) -> None:
    found = printed("user_script.py", folder=tmp_path)
    by_hand, tuned = found["by_hand"], found["tuned"]
    assert by_hand["iterations"] == [1, 2, 3]
    assert by_hand["env_steps"] == [1000, 2000, 3000]
    assert by_hand["done"] == [False, False, True]
    assert [trial["policy_sparsity"] for trial in tuned] == [0.5, 0.8, 0.9]
    assert {trial["env_steps"] for trial in tuned} == {3000}
    sizes = [trial["size_ratio"] for trial in tuned]
    assert sizes == sorted(sizes, reverse=True)
    assert tuned[1]["digest"] == by_hand["digest"], "in a trial, and by hand with a restore in its middle"
    assert len({trial["digest"] for trial in tuned}) == 3
    assert sum(trial["best"] for trial in tuned) == 1
    for trial in tuned:
        process = rlx2("resume", trial["checkpoint"], "--json", folder=tmp_path)
        assert json.loads(process.stdout.splitlines()[-1])["policy_digest"] == trial["digest"], process.stderr
    assert found["failing"] == {"iterations": 3, "since_restore": 2, "digest": by_hand["digest"], "failed": True}
    assert not list((tmp_path / "tune").rglob("mlflow.db")), "one store, in the folder of the script"


@pytest.mark.slow
def test_offline_data_is_recorded_and_read(tmp_path: Path) -> None:
    file, folder = make_file(tmp_path, "td3"), tmp_path / "recorded"
    found = printed("offline_script.py", str(file), str(folder), folder=tmp_path)
    assert found["rows"] == found["steps"] == 3 * 200
    assert found["rewards"] == pytest.approx(found["return"])
    assert {"obs", "actions", "rewards", "new_obs", "terminateds", "truncateds"} <= set(found["columns"])
    assert found["largest_action"] <= 1, "in units of the bound, which is 2"
