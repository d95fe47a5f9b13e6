"""Paths that no file system takes, and paths to other runs, in every command that has one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rlx2_ray.cli.main import run
from tests.support.commands import refused
from tests.support.runs import database_uri, small_arguments

LONG = "x" * 5000
ENV = ("--env", "Pendulum-v1")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", *ENV, "--out", LONG),
        ("train", *ENV, "--method", "ticket", "--set", f"topology.ticket={LONG}"),
        ("resume", LONG),
        ("evaluate", LONG),
        ("evaluate", f"{LONG}.c"),
        ("evaluate", f"{LONG}.safetensors"),
        ("report", LONG),
        ("archive", LONG),
        ("sweep", f"{LONG}.yaml"),
        ("compress", *ENV, "--out", LONG),
        ("compress", *ENV, "--archive", LONG),
        ("dashboard", "--tracking-uri", f"sqlite:///{LONG}"),
    ],
    ids=lambda arguments: " ".join(arguments).replace(LONG, "LONG"),
)
def test_a_path_that_is_too_long_is_one_short_sentence(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence = refused(capsys, *arguments)
    assert "File name too long" in sentence
    assert len(sentence) < 1000
    assert list(tmp_path.iterdir()) == []


def test_a_run_to_start_from_is_kept_with_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = (*small_arguments(steps=200), "--tracking-uri", database_uri(tmp_path))
    assert run(["train", *common, "--out", "first"]) == 0
    again = ("--method", "ticket", "--set", "topology.ticket=first")
    assert run(["train", *common, *again, "--out", "second"]) == 0
    assert yaml.safe_load(Path("second/config.yaml").read_text())["topology"]["ticket"] == str(tmp_path / "first")


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "missing.safetensors"),
        ("evaluate", "missing.onnx"),
        ("evaluate", "missing.c"),
        ("evaluate", "missing"),
        ("export", "missing", "--format", "c"),
        ("resume", "missing"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_said_to_be_not_there(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence = f"rlx2: There is no {arguments[1]}: check the path, which is seen from {tmp_path}.\n"
    assert refused(capsys, *arguments) == sentence
