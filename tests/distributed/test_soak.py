"""The soak that `benchmarks/soak.py` runs for longer."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.runs import ROOT, environment

KINDS = {"rollout", "shard", "learner", "evaluator", "driver", "node"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_run_outlives_two_minutes_of_kills_of_every_kind() -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--minutes", "2", "--every", "15"]
    process = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    report = json.loads(process.stdout)
    assert report["problems"] == []
    assert report["kills"].keys() == KINDS
