"""`rlx2 archive`: what it takes, what it leaves out and says so, and that doing it again does nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlx2_ray.cli.main import run
from rlx2_ray.config import Tree
from rlx2_ray.runs.directory import Tracking
from rlx2_ray.sweep.description.queue import gather, parse_queue, queue_tree
from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory
from tests.cli.test_bad_input import check_refusal
from tests.support.archives import made_runs, write_run
from tests.support.commands import succeeded
from tests.support.sweeps import BASE, cut

TAUS: Tree = {"uniform": [0.001, 0.02]}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of three finished runs and one that is half way, beside what MLflow keeps of one."""
    folder = tmp_path / "runs"
    *finished, last = made_runs(["set", "static"])
    for made in (*finished, cut(last, 0.5)):
        write_run(folder, made)
    artifacts = folder / "mlartifacts" / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "config.yaml").write_text((folder / "set-0" / "config.yaml").read_text())
    return folder


def counts(content: dict[str, Any]) -> tuple[int, ...]:
    return tuple(len(content[name]) for name in ("added", "there", "unfinished", "changing"))


def test_finished_runs_are_added_once(capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path) -> None:
    into = tmp_path / "archive"
    content = succeeded(capsys, "archive", runs, "--into", into)
    assert counts(content) == (3, 0, 1, 0)
    assert content["unfinished"] == [str(runs / "static-0")]
    assert sorted(content["added"]) == sorted(map(str, into.iterdir()))
    assert counts(succeeded(capsys, "archive", runs, "--into", into)) == (0, 3, 1, 0)
    assert counts(succeeded(capsys, "archive", runs / "set-0", runs / "set-0", "--into", tmp_path / "one")) == (
        1,
        1,
        0,
        0,
    )


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("config.yaml", lambda file: file.write_bytes(b"")),
        ("run.json", lambda file: file.unlink()),
        ("progress.jsonl", lambda file: file.write_text("")),
        ("result.json", lambda file: file.write_text("{")),
    ],
)
def test_damaged_run_is_left_out_and_named(
    name: str, damage: Callable[[Path], object], capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path
) -> None:
    (runs / "set-0" / "checkpoints").mkdir(exist_ok=True)
    damage(runs / "set-0" / name)
    assert run(["archive", str(runs), "--into", str(tmp_path / "archive"), "--json"]) == 0
    output, error = capsys.readouterr()
    assert counts(json.loads(output)) == (2, 0, 1, 0)
    assert json.loads(output)["damaged"] == [str(runs / "set-0")]
    assert error.startswith(f"left out, damaged: {runs / 'set-0'}")
    assert name in error
    check_refusal(["archive", str(runs / "set-0")], [name], tmp_path, capsys)


def test_what_was_done_is_said(capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path) -> None:
    assert run(["archive", str(runs), "--into", str(tmp_path / "archive")]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["added", "added", "added", "left"]
    assert lines[0].startswith("added Hopper-v5-td3-set-s0-")
    assert lines[-1] == f"left out, unfinished: {runs / 'static-0'}"
    assert last == f"{tmp_path / 'archive'}: 3 added, 0 there already, 1 left out"


PBT: Tree = {
    "scheduler": {"name": "pbt", "perturbation_interval": 5_000, "hyperparam_mutations": {"agent.tau": TAUS}},
    "num_samples": 3,
}


@pytest.mark.parametrize(
    ("tune", "expected"), [(PBT, (0, 0, 0, 3)), ({"scheduler": "asha", "seeds": 3}, (3, 0, 0, 0)), ({}, (3, 0, 0, 0))]
)
def test_trials_whose_values_changed_are_left_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tune: Tree, expected: tuple[int, ...]
) -> None:
    """The description beside them is as `rlx2 sweep` writes it."""
    file = tmp_path / "taus.yaml"
    file.write_text(yaml.safe_dump(BASE | {"param_space": {"agent.tau": TAUS}, "tune": tune}))
    with closing(SweepDirectory(tmp_path / "sweep")) as directory:
        tree = queue_tree(parse_queue(gather(file, {})))
        directory.create("sweep", tree, Tracking("sqlite:///mlflow.db", "made-up"))
    for made in made_runs(["set"]):
        write_run(directory.trials, made)
    assert counts(succeeded(capsys, "archive", directory.path, "--into", tmp_path / "archive")) == expected


def test_bad_input_is_one_sentence(capsys: pytest.CaptureFixture[str], runs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        ([tmp_path / "absent"], "is no directory"),
        ([tmp_path / "empty"], "holds no run"),
        ([runs, "--into", runs / "set-0" / "config.yaml"], "cannot be written"),
    ):
        assert run(["archive", *map(str, arguments)]) == 2
        output, error = capsys.readouterr()
        assert (output, error.count("\n")) == ("", 1)
        assert said in error
