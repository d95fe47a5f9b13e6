"""Help: every command has it, with its options, defaults and units."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rlx2_ray.cli.main import run
from tests.support.runs import environment

OPTIONS = {
    "train": ["--env", "--algo", "--method", "--policy-sparsity", "--actor-sparsity", "--critic-sparsity", "--steps",
              "--seed", "--engine", "--runtime", "--rollout-actors", "--replay-shards", "--out", "--tracking-uri",
              "--set", "--json"],
    "resume": ["DIR", "--json"],
    "sweep": ["CONFIG.yaml", "--concurrent", "--address", "--set", "--out", "--tracking-uri", "--json"],
    "compress": ["CONFIG.yaml", "--axis", "--dense-seeds", "--max-runs", "--max-env-steps", "--max-hours", "--json"],
    "archive": ["{DIR}...", "--into", "results/runs", "--json"],
    "report": ["DIR|EXPERIMENT", "--tracking-uri", "--out", "--format", "--json"],
    "dashboard": ["--tracking-uri", "--experiment", "--port", "--host", "--refresh", "--mlflow-ui"],
    "evaluate": ["--episodes", "--seed", "--video", "--best", "--json"],
    "export": ["DIR|FILE", "--format", "safetensors|onnx|c|parquet", "--int8", "--int16", "--episodes", "--best",
               "--out", "DIR/ENV_ALGO.FORMAT, DIR/replay.parquet", "--json"],
    "describe": ["--env", "--observation-size", "--action-size", "--json"],
    "doctor": ["--tracking-uri", "--json"],
    "bench learner": ["--env", "--policy-sparsity", "--critic-sparsity", "--torch-compile", "--json"],
    "bench train": ["--env", "--policy-sparsity", "--critic-sparsity", "--timed-steps", "--json"],
    "bench policy": ["--env", "--policy-sparsity", "--json"],
    "bench replay": ["--env", "--algo", "--transitions", "--json"],
}  # fmt: skip


@pytest.mark.parametrize("command", OPTIONS)
def test_command_s_help_names_its_options(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run([*command.split(), "--help"]) == 0
    output, error = capsys.readouterr()
    assert [option for option in OPTIONS[command] if option not in output] == []
    assert error == ""


def test_help_gives_defaults_and_units(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run(["train", "--help"])
    output, _ = capsys.readouterr()
    for words in ("Env steps.", "3000000", "sqlite:///mlflow.db", "Hopper-v5", "[0, 1)", "0.9", "inline"):
        assert words in output
    assert "sparse on cpu" in output


def test_module_is_the_console_script(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "rlx2_ray", "--help"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert process.returncode == 0
    assert [command for command in OPTIONS if command.split()[0] not in process.stdout] == []
    assert process.stderr == ""
    assert list(tmp_path.iterdir()) == []
