"""The run of a whole sweep: links of its trials, files rewritten again and again, and tables."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.tracking import store
from rlx2_ray.tracking.table import table_json, with_table
from rlx2_ray.tracking.tracker import Tracker
from rlx2_ray.types import RunFailed
from tests.tracking.test_tracker import Desk, desk, free_port, stored_run, template, wait_until

__all__ = ["desk", "template"]  # fixtures

PARENT = "mlflow.parentRunId"


def artifact(desk: Desk, tracker: Tracker, name: str) -> Path:
    """Where the store has it."""
    return database(desk).parent / "mlartifacts" / str(tracker.run_id) / "artifacts" / name


def database(desk: Desk) -> Path:
    return Path(desk.uri.removeprefix("sqlite:///"))


def test_parent_has_its_id_at_once_and_is_found_again(desk: Desk) -> None:
    run_id = desk.tracker("sweep").start_or_fail()  # and is killed
    assert stored_run(desk.uri, run_id).info.status == "RUNNING"
    again = desk.tracker("sweep")
    assert again.start_or_fail() == again.run_id == run_id
    again.log_tags({"state": "finished"})
    assert again.finish("FINISHED")
    assert stored_run(desk.uri, run_id).data.tags["state"] == "finished"


def test_parent_that_cannot_be_made_is_one_sentence() -> None:
    desk = Desk(f"http://user:secret@127.0.0.1:{free_port()}")
    with pytest.raises(RunFailed, match=r"has no run \(\[Errno 111\] Connection refused\)\.") as refused:
        desk.tracker("sweep").start_or_fail()
    assert "secret" not in str(refused.value)
    assert desk.warnings == []


def test_child_keeps_its_parent_and_gets_it_where_it_had_none(desk: Desk) -> None:
    run_id = desk.tracker("sweep").start_or_fail()
    desk.tracker("trial").finish("KILLED")
    for _ in range(2):
        child = desk.tracker("trial", parent_run_id=run_id)
        assert child.finish("FINISHED")
        assert stored_run(desk.uri, child.run_id).data.tags[PARENT] == run_id
    without = desk.tracker("trial")
    assert without.finish("FINISHED")
    assert stored_run(desk.uri, without.run_id).data.tags[PARENT] == run_id


def test_tags_change_when_a_trial_is_taken_up_again(desk: Desk) -> None:
    desk.tracker("trial", tags={"attempt": "1", "algo": "td3"}).finish("KILLED")
    again = desk.tracker("trial", tags={"attempt": "2"})
    assert again.finish("FINISHED")
    assert {"attempt": "2", "algo": "td3"}.items() <= stored_run(desk.uri, again.run_id).data.tags.items()


def test_trial_that_died_is_ended_by_another_process(desk: Desk) -> None:
    died = desk.tracker("trial")
    died.start()
    died.log_tags({"note": "kept"})
    wait_until(lambda: "note" in stored_run(desk.uri, died.run_id).data.tags)
    assert desk.tracker("trial").finish("FAILED")
    run = stored_run(desk.uri, died.run_id)
    assert (run.info.status, run.data.tags["note"]) == ("FAILED", "kept")


def test_file_that_is_rewritten_is_sent_as_it_is_and_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    sent: list[str] = []
    send = MlflowClient.log_artifact

    def note(self: MlflowClient, run_id: str, path: str, folder: str | None = None) -> None:
        sent.append(Path(path).read_text())
        send(self, run_id, path, folder)

    monkeypatch.setattr(MlflowClient, "log_artifact", note)
    monkeypatch.setattr(store, "SQLITE_WAIT_S", 0.1)
    tracker = desk.tracker("sweep")
    tracker.start_or_fail()
    record = tmp_path / "record.json"
    with closing(sqlite3.connect(database(desk), isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        for version in range(100):
            record.write_text(str(version))
            tracker.log_artifacts([record])
            tracker.log_table("decisions.json", {"version": [version]})
        wait_until(lambda: desk.warnings)
        writer.execute("ROLLBACK")
    assert tracker.finish("FINISHED")
    assert sent == ['{"columns": ["version"], "data": [[99]]}', "99"]
    assert artifact(desk, tracker, "record.json").read_text() == "99"
    assert json.loads(artifact(desk, tracker, "decisions.json").read_text())["data"] == [[99]]


DECISIONS = {"policy_sparsity": [0.9, 0.98], "probability": [0.95, float("nan")], "verdict": ["accept", None]}


@pytest.mark.filterwarnings("ignore:For backward compatibility, 'str' dtypes are included")  # MLflow with pandas 3
def test_table_is_the_one_that_mlflow_writes(desk: Desk, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    tracker = desk.tracker("sweep")
    assert tracker.finish("FINISHED")
    MlflowClient(desk.uri).log_table(tracker.run_id, DECISIONS, "decisions.json")
    theirs = artifact(desk, tracker, "decisions.json").read_text()
    assert json.loads(table_json(DECISIONS)) == json.loads(theirs)


def test_table_is_written_as_a_whole_and_listed_once_also_after_a_resume(desk: Desk) -> None:
    for rows in (1, 2):
        tracker = desk.tracker("sweep")
        tracker.start_or_fail()
        for _ in range(2):
            tracker.log_table("decisions.json", {name: values[:rows] for name, values in DECISIONS.items()})
        assert tracker.finish("FINISHED")

    run = stored_run(desk.uri, tracker.run_id)
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "decisions.json", "type": "table"}]
    table = json.loads(artifact(desk, tracker, "decisions.json").read_text())
    assert table["data"] == [[0.9, 0.95, "accept"], [0.98, None, None]]


def test_list_of_tables_keeps_what_is_in_it() -> None:
    first = with_table("", "a.json")
    both = with_table(first, "b.json")
    assert json.loads(both) == [{"path": "a.json", "type": "table"}, {"path": "b.json", "type": "table"}]
    assert with_table(both, "a.json") == both


@pytest.mark.parametrize(
    ("value", "written"), [(float("inf"), None), ([0.5, float("nan")], [0.5, None]), ((1, "a"), [1, "a"]), (True, True)]
)
def test_cell_of_a_table(value: Any, written: Any) -> None:
    assert json.loads(table_json({"cell": [value]})) == {"columns": ["cell"], "data": [[written]]}


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        table_json({"a": [1, 2], "b": [1]})
