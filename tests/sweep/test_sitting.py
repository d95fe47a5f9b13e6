"""A sweep that its budget ended goes on with more hours: the same trials, each once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rlx2_ray.cli.main import run
from rlx2_ray.config import Tree
from rlx2_ray.report.record.record import Record
from rlx2_ray.runs.directory import Tracking
from rlx2_ray.sweep import campaign, sitting
from rlx2_ray.sweep.desk.sweep_directory import Result, SweepDirectory
from rlx2_ray.sweep.sitting import Sitting
from tests.cli.test_bad_input import check_refusal, files
from tests.distributed.mortal_envs import MODULE
from tests.support.campaigns import (
    NAMES,
    check_every_point_once,
    digests,
    finished_trials,
    parent_and_children,
    read_record,
    resume_sweep,
    sweep,
    sweep_tree,
    trial_names,
)
from tests.support.runs import database_uri

TREE: Tree = {**sweep_tree(), "tune": {"max_concurrent": 2, "budget": {"env_steps": 500, "runs": 9}}}
PBT: Tree = sweep_tree({}, {"seeds": 4, "scheduler": {"name": "pbt", "hyperparam_mutations": {"agent.tau": {
    "uniform": [0.001, 0.02]}}}}, seed=None)  # fmt: skip


@pytest.fixture
def went_on(monkeypatch: pytest.MonkeyPatch) -> list[Tree]:
    """The descriptions that campaigns went on with, in place of going on."""
    calls: list[Tree] = []

    def go_on(made: campaign.Campaign, directory: SweepDirectory, record: Record) -> Result:
        calls.append(made.tree)
        return {}

    monkeypatch.setattr(campaign, "go_on", go_on)
    return calls


@pytest.fixture
def directory(tmp_path: Path) -> SweepDirectory:
    return made(tmp_path, TREE, worked_s=1800.0)


def made(folder: Path, tree: Tree, kind: str = "sweep", worked_s: float | None = None) -> SweepDirectory:
    """A sweep that has begun, and been worked on for so long."""
    directory = SweepDirectory(folder / "sweep")
    record = directory.create(kind, tree, Tracking(database_uri(folder), "tests"))
    directory.write_record(replace(record, worked_s=worked_s))
    directory.close()
    return directory


def test_interrupted_one_goes_on_as_it_was(directory: SweepDirectory, went_on: list[Tree]) -> None:
    sitting.resume(directory, Sitting())
    (tree,) = went_on
    assert (tree["tune"]["budget"], tree["tune"]["max_concurrent"]) == ({"env_steps": 500, "runs": 9}, 2)


def test_new_hours_are_from_now_on_in_place_of_the_budget(directory: SweepDirectory, went_on: list[Tree]) -> None:
    sitting.resume(directory, Sitting(max_hours="2"))
    (tree,) = went_on
    assert tree["tune"]["budget"] == {"hours": 2.5, "runs": 9}  # half an hour has been worked


def test_other_concurrency(directory: SweepDirectory, went_on: list[Tree]) -> None:
    sitting.resume(directory, Sitting(concurrent="5"))
    (tree,) = went_on
    assert (tree["tune"]["max_concurrent"], tree["tune"]["budget"]["env_steps"]) == (5, 500)


SWEEP_RESULT: Tree = {
    "kind": "sweep", "metric": "score", "trials": [], "best": None, "directory": "sweep", "report": "report.html",
}  # fmt: skip


@pytest.mark.parametrize(
    ("ended_by", "given", "goes_on"),
    [
        (None, Sitting(max_hours="2"), False),
        ("the budget of 1 hours", Sitting(), False),
        ("the budget of 1 hours", Sitting(concurrent="1"), False),
        ("the budget of 1 hours", Sitting(max_hours="2"), True),
    ],
)
def test_ended_one_goes_on_only_where_a_budget_ended_it_and_there_is_a_new_one(
    ended_by: str | None, given: Sitting, goes_on: bool, directory: SweepDirectory, went_on: list[Tree]
) -> None:
    directory.write_result(SWEEP_RESULT | {"ended_by": ended_by})
    sitting.resume(directory, given)
    assert bool(went_on) == goes_on


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-hours", "many"], ["tune.budget.hours", "'many'"]),
        (["--max-hours", "0"], ["tune.budget.hours", "'0'"]),
        (["--concurrent", "0"], ["tune.max_concurrent", "'0'"]),
    ],
)
def test_values_that_cannot_be(
    options: list[str], words: list[str], directory: SweepDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(["resume", str(directory.path), *options], words, directory.path, capsys)


@pytest.mark.parametrize("option", ["--max-hours", "--concurrent"])
@pytest.mark.parametrize(
    ("tree", "kind", "words"),
    [
        (PBT, "sweep", ["scheduler pbt", "leave it out"]),
        (sweep_tree({"seed": {"choice": [1]}}, {"searcher": "optuna"}), "sweep", ["searcher optuna", "leave it out"]),
        ({"env": {"id": "Hopper-v5"}, "compress": {}}, "compress", ["this is a compression", "leave it out"]),
    ],
    ids=["pbt", "optuna", "compression"],
)
def test_only_for_trials_that_are_planned_beforehand(
    option: str, tree: Tree, kind: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made(tmp_path, tree, kind).path
    check_refusal(["resume", str(path), option, "2"], [option, *words], tmp_path, capsys)


COMPRESSED: Tree = {"kind": "compress", "threshold": 0.97, "report": "report.html", "messages": [], "decisions": []}
COMPRESSION: Tree = {"env": {"id": "Hopper-v5"}, "compress": {"budget": {"runs": 20}, "max_seeds": 8}}


def test_compression_goes_on_with_more_runs(tmp_path: Path, went_on: list[Tree]) -> None:
    """One that has ended too: the trials that it had stay done."""
    directory = made(tmp_path, COMPRESSION, "compress")
    directory.write_result(COMPRESSED)
    sitting.resume(directory, Sitting(max_runs="60", changes={"compress": {"max_seeds": "16", "score": "deployed"}}))
    (tree,) = went_on
    assert tree["compress"]["score"] == "deployed"
    assert (tree["compress"]["budget"], tree["compress"]["max_seeds"]) == ({"runs": 60}, 16)


def test_compression_that_has_ended_is_shown_as_it_is(tmp_path: Path, went_on: list[Tree]) -> None:
    directory = made(tmp_path, COMPRESSION, "compress")
    directory.write_result(COMPRESSED)
    assert sitting.resume(directory, Sitting()) == ("compress", COMPRESSED)
    assert went_on == []


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("compress", ["--max-runs", "5"], ["compress.budget.runs is 5", "raise it"]),
        ("compress", ["--set", "compress.axis=both"], ["compress.axis is fixed for a compression that has begun"]),
        ("compress", ["--set", "steps=5"], ["steps is fixed for a compression that has begun"]),
        ("sweep", ["--set", "compress.max_seeds=9"], ["compress.max_seeds is fixed for a sweep that has begun"]),
        ("sweep", ["--max-runs", "5"], ["--max-runs is for a compression, and this is a sweep"]),
    ],
)
def test_what_a_campaign_that_has_begun_does_not_change(
    kind: str, options: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made(tmp_path, COMPRESSION if kind == "compress" else TREE, kind).path
    check_refusal(["resume", str(path), *options], words, tmp_path, capsys)


def test_a_run_has_no_sittings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal(["resume", str(tmp_path), "--max-hours", "2"], ["--max-hours is for a sweep"], tmp_path, capsys)
    check_refusal(["resume", str(tmp_path), "--max-runs", "9"], ["--max-runs is for a compression"], tmp_path, capsys)


@pytest.mark.slow
def test_budget_then_more_hours(tmp_path: Path) -> None:
    """To the same trials as without a pause, each point once; a further resume changes nothing."""
    paced = sweep_tree(env__id=f"{MODULE}:UnhurriedPendulum-v0", env__kwargs={"step_s": 0.005})
    undisturbed = sweep(tmp_path / "undisturbed", paced, "--concurrent", "2")
    (tmp_path / "own").mkdir()
    first = sweep(tmp_path / "own" / "sweep", {**paced, "tune": {"budget": {"env_steps": 500}}}, "--concurrent", "2")
    assert first.code == 0, first.error
    assert first.result["ended_by"] == "the budget of 500 env steps"
    assert f"'rlx2 resume {first.directory} --max-hours H' goes on" in first.error
    assert len(finished_trials(first.directory)) < 4
    assert resume_sweep(first.directory).result == first.result, "it has ended"
    more = resume_sweep(first.directory, "--max-hours", "1", "--concurrent", "1")
    assert more.code == 0, more.error
    assert "1 at a time" in more.error
    assert more.result["ended_by"] is None
    assert read_record(first.directory)["messages"] == []
    stored = yaml.safe_load((first.directory / "sweep.yaml").read_text())["tune"]
    assert (stored["max_concurrent"], round(stored["budget"]["hours"], 1)) == (1, 1.0)
    assert trial_names(first.directory) == NAMES
    assert digests(first.directory) == digests(undisturbed.directory)
    check_every_point_once(first.directory, {name: [100, 200, 300] for name in NAMES})
    parent, children = parent_and_children(first.directory)
    assert {each.info.status for each in (parent, *children.values())} == {"FINISHED"}
    before = files(first.directory)
    assert run(["resume", str(first.directory), "--max-hours", "1"]) == 0
    assert files(first.directory) == before
