"""`rlx2 sweep` and `rlx2 resume` of a sweep as a script sees them: exit codes, streams, JSON, files, MLflow runs."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from rlx2_ray.cli.main import run
from rlx2_ray.config import Tree
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.runs.directory import Tracking
from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory
from tests.cli.test_bad_input import check_refusal, files
from tests.support.campaigns import (
    NAMES,
    STEPS,
    check_every_point_once,
    finished_trials,
    parent_and_children,
    read_record,
    read_result,
    resume_sweep,
    sweep,
    sweep_tree,
    trial_names,
)
from tests.support.runs import Ended, database_uri
from tests.support.strange_envs import MODULE
from tests.tracking.test_tracker import free_port

RESULT_KEYS = {
    "metric", "mode", "trials", "best", "env_steps", "ended_by", "kind", "directory", "report", "mlflow_run_id",
    "versions", "answer",
}  # fmt: skip
POINTS = [100, 200, 300]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Two sparsities with two seeds each."""
    return sweep(tmp_path_factory.mktemp("sweep") / "sweep", sweep_tree())


def test_exit_code_and_streams(finished: Ended) -> None:
    assert finished.code == 0
    assert len(finished.output.splitlines()) == 1, "nothing but the JSON object"
    first, *others = finished.error.splitlines()
    assert re.fullmatch(rf"4 trials, 1200 env steps, \d+ at a time, in {re.escape(str(finished.directory))}", first)
    assert sorted(line.split("  ")[0] for line in others) == NAMES, "a line for each trial, and no word of Ray's"


def test_json_object(finished: Ended) -> None:
    result = finished.result
    assert result.keys() == RESULT_KEYS
    assert (result["kind"], result["metric"], result["mode"], result["env_steps"]) == ("sweep", "score", "max", 1200)
    assert [trial["name"] for trial in result["trials"]] == NAMES
    for trial, name in zip(result["trials"], NAMES, strict=True):
        assert (trial["state"], trial["env_steps"]) == ("finished", STEPS)
        of_run = read_result(finished.directory / "trials" / name)
        assert (trial["score"], trial["deployed"]) == (of_run["score"], of_run["deployed"]["return_mean"])
    best = max(result["trials"], key=lambda trial: trial["score"])
    assert result["best"]["score"] == best["score"]
    assert read_result(finished.directory) == result


def test_every_trial_is_a_complete_run(finished: Ended) -> None:
    assert trial_names(finished.directory) == NAMES
    for folder, (policy, seed) in zip(
        finished_trials(finished.directory), [(0.3, 0), (0.3, 1), (0.5, 0), (0.5, 1)], strict=True
    ):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert (config["sparsity"]["policy"], config["seed"], config["sparsity"]["critic"]) == (policy, seed, 0.4)
        assert (folder / "policy.safetensors").exists()
        assert not (folder / "undelivered").exists()


def test_one_mlflow_run_for_the_sweep_and_one_for_each_trial(finished: Ended) -> None:
    parent, children = parent_and_children(finished.directory)
    key = parent.data.tags["rlx2.trial_key"]
    assert parent.info.run_id == finished.result["mlflow_run_id"]
    assert (parent.info.status, parent.data.tags["rlx2.kind"]) == ("FINISHED", "sweep")
    assert sorted(children) == NAMES
    for name, child in children.items():
        tags = child.data.tags
        assert child.info.status == "FINISHED"
        assert (tags["rlx2.trial_key"], tags["rlx2.purpose"]) == (f"{key}-{name}", "trial")
        assert tags["rlx2.seed"] == name[-1] == child.data.params["seed"]
        assert f"policy={child.data.params['sparsity.policy']}-" in name
        assert child.data.metrics["score"] == read_result(finished.directory / "trials" / name)["score"]
    check_every_point_once(finished.directory, {name: POINTS for name in NAMES})


def test_record_is_readable_and_complete(finished: Ended) -> None:
    record = read_directory(finished.directory)
    assert (record.kind, record.state, record.metric, record.mode) == ("sweep", "finished", "score", "max")
    assert [(trial.name, trial.state, trial.env_steps) for trial in record.trials] == [
        (name, "finished", STEPS) for name in NAMES
    ]
    content = read_record(finished.directory)
    assert content["planned"] == {"runs": 4, "env_steps": 1200}
    assert content["tracking"]["run_id"] == finished.result["mlflow_run_id"]
    assert content["messages"] == []


def test_report_is_written_and_tracked(finished: Ended) -> None:
    report = finished.directory / "report.html"
    assert finished.result["report"] == str(report)
    assert all(name in report.read_text() for name in NAMES)
    artifacts = finished.directory.parent / "mlartifacts" / finished.result["mlflow_run_id"] / "artifacts"
    assert sorted(path.name for path in artifacts.iterdir()) == ["figures", "record.json", "report.html", "sweep.yaml"]
    assert (artifacts / "record.json").read_bytes() == (finished.directory / "record.json").read_bytes()


def test_resume_of_a_finished_sweep_gives_its_result_and_changes_nothing(
    finished: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(finished.directory.parent)
    assert run(["resume", str(finished.directory), "--json"]) == 0
    output, error = capsys.readouterr()
    assert (output, error) == (finished.output, "")
    assert files(finished.directory.parent) == before


def test_table_for_people(finished: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["resume", str(finished.directory)]) == 0
    output, _ = capsys.readouterr()
    assert "4 trials" in output
    assert f"best trial │ {finished.result['best']['name']}, score" in re.sub(" +", " ", output)


def test_finished_sweep_cannot_be_overwritten(finished: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    file = finished.directory.with_suffix(".yaml")
    assert run(["sweep", str(file), "--out", str(finished.directory)]) == 2
    assert "already holds a sweep" in capsys.readouterr().err


# A trial that fails


FAILING = "00001-env.kwargs=_step_150"
KWARGS = [{"step": 0}, {"step": 150}]  # the second breaks off at its 150th step, and another life gets farther


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    tree = sweep_tree({"env.kwargs": {"grid": KWARGS}}, {"max_failures": 0}, env__id=f"{MODULE}:Broken-v0", steps=200)
    return sweep(tmp_path_factory.mktemp("failed") / "sweep", tree)


@pytest.fixture(scope="module")
def recovered(failed: Ended) -> tuple[Ended, dict[str, int], dict[str, int]]:
    """The failed sweep resumed, with the moments at which results had been written before and after."""
    before = _moments(failed)
    return resume_sweep(failed.directory), before, _moments(failed)


def _moments(sweep: Ended) -> dict[str, int]:
    return {path.name: (path / "result.json").stat().st_mtime_ns for path in finished_trials(sweep.directory)}


def test_trial_that_fails_for_good_fails_the_sweep_in_a_sentence_and_no_other_trial(failed: Ended) -> None:
    assert (failed.code, failed.output) == (1, "")
    *_, last = failed.error.splitlines()
    assert last.startswith(f"rlx2: 1 of 2 trials failed ({FAILING}): ")
    assert f"'rlx2 resume {failed.directory}'" in last
    assert "Traceback" not in failed.error
    (said,) = [line for line in failed.error.splitlines() if line.startswith(f"{FAILING} failed: ")]
    assert "env step 150" in said
    assert len(parent_and_children(failed.directory)[1]) == 2
    assert [path.name for path in finished_trials(failed.directory)] == ["00000-env.kwargs=_step_0"]


def test_failed_sweep_has_a_record_and_a_report(failed: Ended) -> None:
    assert FAILING in (failed.directory / "report.html").read_text()
    (message, *_) = read_record(failed.directory)["messages"]
    assert message.startswith(f"{FAILING} failed: ")


def test_resume_tries_only_the_failed_trial_again(
    recovered: tuple[Ended, dict[str, int], dict[str, int]],
) -> None:
    resumed, before, after = recovered
    assert resumed.code == 0, resumed.error
    assert [trial["state"] for trial in resumed.result["trials"]] == ["finished", "finished"]
    assert sorted(after) == ["00000-env.kwargs=_step_0", FAILING]
    assert before == {name: moment for name, moment in after.items() if name != FAILING}, "not run again"
    check_every_point_once(resumed.directory, {name: [100, 200] for name in after})
    parent, children = parent_and_children(resumed.directory)
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}


# Bad input


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an MLflow store, and a directory that holds something."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    database_uri(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("dear diary")
    (tmp_path / "file").write_text("some text\n")
    return tmp_path


def refuse(
    tree: Tree, arguments: list[str], words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "given.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    check_refusal(["sweep", "given.yaml", *arguments], words, folder, capsys)


ONE = {"sparsity.policy": {"grid": [0.3, 0.5]}}


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        pytest.param(sweep_tree({"sparsity.polcy": {"grid": [0.3]}}), ["sparsity.polcy", "sparsity.policy"], id="key"),
        pytest.param(sweep_tree({}), ["param_space", "empty"], id="empty space"),
        pytest.param({"steps": 300}, ["param_space", "empty"], id="no space"),
        pytest.param(sweep_tree({"sparsity.policy": {"grid": []}}), ["sparsity.policy", "grid"], id="empty grid"),
        pytest.param(sweep_tree({"sparsity.policy": {"grid": [0.3, 1.5]}}), ["sparsity.policy", "1.5"], id="value"),
        pytest.param(sweep_tree({"sparsity.policy": {"grid": [0.3, 0.995]}}), ["policy", "0.995"], id="empty layer"),
        pytest.param(sweep_tree(ONE, {"metric": "scroe"}), ["tune.metric", "'scroe'", "score"], id="metric"),
        pytest.param(sweep_tree(ONE, {"num_sample": 3}), ["tune.num_sample", "tune.num_samples"], id="key of tune"),
        pytest.param(sweep_tree(ONE, {"max_concurrent": 0}), ["tune.max_concurrent", "0"], id="concurrency"),
        pytest.param(sweep_tree(ONE, {"searcher": "optuna"}), ["sparsity.policy", "grid", "optuna"], id="searcher"),
        pytest.param(sweep_tree(ONE, env__id="NoSuchThing-v9"), ["env.id", "'NoSuchThing-v9'"], id="environment"),
        pytest.param(
            sweep_tree({"env.id": {"grid": ["InvertedPendulum-v5", "NoSuchThing-v9"]}}),
            ["env.id", "'NoSuchThing-v9'"],
            id="environment of one trial",
        ),
        pytest.param(
            {**{key: value for key, value in sweep_tree(ONE).items() if key != "param_space"}, "compress": {}},
            ["compress", "'rlx2 compress'"],
            id="a compression",
        ),
    ],
)
def test_file_that_cannot_be_used(
    tree: Tree, words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(tree, [], words, folder, capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "taken"], ["--out", "taken", "not an empty directory"]),
        (["--out", "file"], ["--out", "file"]),
        (["--out", "file/inside"], ["--out", "file/inside"]),
        (["--concurrent", "0"], ["tune.max_concurrent", "0"]),
        (["--concurrent", "many"], ["tune.max_concurrent", "'many'"]),
        (["--steps", "none"], ["steps", "'none'"]),
        (["--steps", "50"], ["agent.warmup_steps"]),
        (["--runtime", "cloud"], ["runtime.kind", "'cloud'"]),
        (["--address", "127.0.0.1:1"], ["runtime.address", "127.0.0.1:1", "no Ray cluster answers"]),
        (["--set", "tune.metric=loss"], ["tune.metric", "'loss'"]),
        (["--max-hours", "0"], ["tune.budget.hours", "'0'"]),
        (["--archive", "nowhere"], ["archive", "nowhere", "no directory"]),
        (["--set", "sparsity.policy=0.4"], ["sparsity.policy", "0.4", "[0.3, 0.5]"]),
        (["--tracking-uri", "foo://bar"], ["'foo://bar'"]),
        (["--tracking-uri", "sqlite:////proc/mlflow.db"], ["/proc"]),
        (["--bogus"], ["--bogus"]),
    ],
    ids=" ".join,
)
def test_option_that_cannot_be_used(
    arguments: list[str], words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(sweep_tree(ONE), arguments, words, folder, capsys)


def test_tracking_server_that_does_not_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    refuse(sweep_tree(ONE), ["--tracking-uri", uri], [uri, "mlflow server"], folder, capsys)


def test_tracking_store_of_a_newer_mlflow(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
    refuse(sweep_tree(ONE), [], ["an MLflow newer than"], folder, capsys)


@pytest.mark.parametrize("name", ["absent.yaml", "taken", "taken/letter.txt"])
def test_file_that_is_no_sweep(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal(["sweep", name], [name], folder, capsys)


def in_use(folder: Path) -> SweepDirectory:
    """A sweep that this process works on."""
    directory = SweepDirectory(folder / "sweep")
    directory.create("sweep", sweep_tree(ONE), Tracking(database_uri(folder), "tests"))
    return directory


def test_sweep_in_use_is_refused_to_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(in_use(folder)):
        check_refusal(["resume", "sweep"], ["sweep is in use by another process"], folder, capsys)


def test_nothing_can_be_changed_by_resume(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_use(folder).close()
    check_refusal(["resume", "sweep", "--rollout-actors", "3"], ["runtime.rollout_actors"], folder, capsys)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(lambda path: (path / "record.json").unlink(), ["record.json"], id="no record"),
        pytest.param(lambda path: (path / "record.json").write_text("{"), ["record.json"], id="damaged record"),
        pytest.param(lambda path: (path / "sweep.yaml").unlink(), ["holds no sweep"], id="no description"),
    ],
)
def test_sweep_of_which_nothing_is_known_is_not_resumed(
    damage: Callable[[Path], object], words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_use(folder).close()
    damage(folder / "sweep")
    check_refusal(["resume", "sweep"], words, folder, capsys)
