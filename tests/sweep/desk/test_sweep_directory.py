"""What the directory of a sweep refuses, and what it says then."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rlx2_ray import files
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.report.record.record import Record, TrackedRun
from rlx2_ray.runs import sealed
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.sweep.desk.sweep_directory import SweepDirectory
from rlx2_ray.types import BadInput, RunFailed
from tests.support.runs import small_config

TREE = {"steps": 300, "param_space": {"seed": {"grid": [0, 1]}}, "tune": {"metric": "score"}}
TRACKING = Tracking("sqlite:///mlflow.db", "tests")
NO_ROOM = "No space left on device"


def created(path: Path) -> SweepDirectory:
    """One that nobody works on."""
    with closing(SweepDirectory(path)) as directory:
        directory.create("sweep", TREE, TRACKING)
    return directory


@pytest.fixture
def directory(tmp_path: Path) -> SweepDirectory:
    return created(tmp_path / "sweep")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing can be written."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(28, NO_ROOM)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        yield


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as refused:
        call()
    text = str(refused.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_was_created_is_read_back(tmp_path: Path) -> None:
    with closing(SweepDirectory(tmp_path / "new" / "sweep")) as directory:
        record = directory.create("sweep", TREE, TRACKING)
    tree, again = SweepDirectory(directory.path).open()
    assert (tree, again) == (TREE, record)
    assert record.tracking == TrackedRun(TRACKING.uri, "tests")
    assert (record.kind, record.name, record.state) == ("sweep", "sweep", "running")
    assert directory.read_result("sweep") is None
    assert names(directory.path) == ["record.json", "run.lock", "sweep.yaml", "trials"]


def test_every_sweep_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = {created(tmp_path / name).open()[1].key for name in ("one", "two")}
    assert len(keys) == 2
    assert all(key.startswith("sweep-") for key in keys)


def test_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert SweepDirectory(Path("sweep")).path == tmp_path / "sweep"


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["absent", "empty"])
def test_unused_directory(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "sweep")
    SweepDirectory(tmp_path / "sweep").check_unused()
    created(tmp_path / "sweep")


def test_directory_of_another_sweep(directory: SweepDirectory) -> None:
    assert refusal(SweepDirectory(directory.path).check_unused) == (
        f"--out is {directory.path}, which already holds a sweep: name another, or 'rlx2 resume {directory.path}'."
    )


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_text("dear diary"), id="file"),
        pytest.param(lambda path: (path / "letters").mkdir(parents=True), id="directory with something in it"),
    ],
)
def test_path_that_holds_something_else(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "taken")
    assert "exists and is not an empty directory" in refusal(SweepDirectory(tmp_path / "taken").check_unused)


def test_sweep_in_use(directory: SweepDirectory) -> None:
    with closing(SweepDirectory(directory.path)) as first, closing(SweepDirectory(directory.path)) as second:
        first.lock()
        assert "in use by another process" in refusal(second.lock)


def test_no_room_for_a_new_sweep(tmp_path: Path, full_disk: None) -> None:
    with closing(SweepDirectory(tmp_path / "sweep")) as directory:
        text = refusal(lambda: directory.create("sweep", TREE, TRACKING))
    assert f"--out is {tmp_path}/sweep, which cannot be written to ({NO_ROOM}): make room" in text


def test_directory_that_had_no_room_can_be_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = files.write
    for written in range(2):  # files that still have room
        left = iter(range(written))

        def write_some(path: Path, content: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise OSError(28, NO_ROOM)
            write(path, content)

        with monkeypatch.context() as patched, closing(SweepDirectory(tmp_path / "sweep")) as directory:
            patched.setattr(files, "write", write_some)
            assert NO_ROOM in refusal(lambda: directory.create("sweep", TREE, TRACKING))
        SweepDirectory(tmp_path / "sweep").check_unused()
    assert created(tmp_path / "sweep").is_there


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with closing(SweepDirectory(tmp_path / "file" / "sweep")) as directory:
        text = refusal(lambda: directory.create("sweep", TREE, TRACKING))
    assert f"--out is {tmp_path}/file/sweep, which cannot be written to (Not a directory)" in text


@pytest.mark.parametrize("leftover", [[], ["trials"], ["trials", "run.lock"], ["trials", "run.lock", "record.json"]])
def test_directory_whose_creation_was_killed_is_no_sweep_yet(leftover: list[str], directory: SweepDirectory) -> None:
    for name in {"run.lock", "record.json", "sweep.yaml"} - {*leftover}:
        (directory.path / name).unlink()
    if "trials" not in leftover:
        directory.trials.rmdir()
    assert refusal(directory.open) == (
        f"{directory.path} holds no sweep: give a directory that 'rlx2 sweep' or 'compress' wrote."
    )
    directory.check_unused()
    assert created(directory.path).is_there


def test_directory_that_became_a_sweep_meanwhile_is_not_overwritten(directory: SweepDirectory) -> None:
    before = directory.record_file.read_bytes()
    with closing(SweepDirectory(directory.path)) as late:
        assert "already holds a sweep" in refusal(lambda: late.create("sweep", TREE, TRACKING))
    assert directory.record_file.read_bytes() == before


def test_directory_with_trials_is_not_free(directory: SweepDirectory) -> None:
    directory.description_file.unlink()
    directory.record_file.unlink()
    (directory.trials / "00000-seed=0").mkdir()
    assert "is not an empty directory" in refusal(directory.check_unused)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="absent"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"kind": "sw', id="half"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"null", id="nothing"),
        pytest.param(b'{"kind": "sweep", "name": "x", "state": "running", "key": "k"}', id="without the store"),
        pytest.param(
            b'{"kind": "sweep", "name": "x", "state": "running", "key": "k", "tracking": 3}',
            id="a number for the store",
        ),
    ],
)
def test_damaged_record_is_made_again_of_the_trials(content: bytes | None, directory: SweepDirectory) -> None:
    tree, record = directory.open()
    if content is None:
        directory.record_file.unlink()
    else:
        directory.record_file.write_bytes(content)
    assert refusal(directory.open) == (
        f"{directory.record_file} is missing or damaged, and no trial tells what was in it: restore it from a copy, "
        "or begin anew in another directory."
    )
    for name in ("00000-seed=0", "00001-seed=1"):
        add_trial(directory, name, record)
    (directory.trials / "00000-seed=0" / "run.json").unlink()
    again, made = directory.open()
    assert again == tree
    assert (made.kind, made.name, made.key, made.config) == (record.kind, record.name, record.key, tree)
    assert made.tracking == TrackedRun(TRACKING.uri, TRACKING.experiment, "parent")
    assert directory.mended == list(made.messages)
    assert f"{directory.record_file} was missing or damaged, and was made again of the trials" in made.messages[0]
    assert [trial.name for trial in read_directory(directory.path).trials] == ["00001-seed=1"], "a report has it too"


def add_trial(directory: SweepDirectory, name: str, record: Record) -> None:
    with closing(RunDirectory(directory.trials / name)) as trial:
        trial.create(small_config(), TRACKING._replace(trial_key=f"{record.key}-{name}", parent_run_id="parent"))


def test_record_that_says_something_else_is_damaged(directory: SweepDirectory) -> None:
    text = directory.record_file.read_text()
    directory.record_file.write_text(text.replace('"kind": "sweep"', '"kind": "sweet"'))
    assert "record.json is missing or damaged" in refusal(directory.open)
    directory.record_file.write_text(text)
    directory.open()


@pytest.mark.parametrize("content", [None, "", "param_space: {seed: [", "steps: 500\n"])
def test_description_that_is_not_as_the_sweep_wrote_it_is_taken_from_the_record(
    content: str | None, directory: SweepDirectory
) -> None:
    tree, record = directory.open()
    add_trial(directory, "00000-seed=0", record)
    before = directory.description_file.read_bytes()
    if content is None:
        directory.description_file.unlink()
    else:
        directory.description_file.write_text(content)
    assert directory.open() == (tree, record)
    assert directory.mended == [
        f"{directory.description_file} was not as the sweep wrote it, and is written again from record.json."
    ]
    assert directory.write_description(record, tree) == record
    assert directory.description_file.read_bytes() == before


def test_description_of_an_earlier_version_is_read_as_it_is(directory: SweepDirectory) -> None:
    directory.write_record(replace(directory.open()[1], description_sha256=None))
    directory.description_file.write_text("steps: 500\n")
    assert directory.open()[0] == {"steps": 500}
    directory.description_file.write_text("param_space: {seed: [")
    assert "sweep.yaml" in refusal(directory.open)


def test_description_that_changes_is_in_both(directory: SweepDirectory) -> None:
    _, record = directory.open()
    changed = directory.write_description(record, {**TREE, "steps": 900})
    assert directory.open() == ({**TREE, "steps": 900}, changed)
    assert directory.mended == []


@pytest.mark.parametrize("content", [b"", b'{"metric": ', b"\xff\xfe", b"[]", b"{}", b"null"])
def test_damaged_result(content: bytes, directory: SweepDirectory) -> None:
    directory.result_file.write_bytes(content)
    assert directory.read_result("sweep") is None
    assert directory.mended == [f"{directory.result_file} is damaged, and is written again."]


def test_record_is_replaced_whole_or_not_at_all(directory: SweepDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    before = directory.record_file.read_bytes()

    def refuse(file: int) -> None:
        raise OSError(28, NO_ROOM)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(RunFailed) as failure:
            directory.write_record(Record("sweep", "x", "running", messages=("x" * 1000,)))
    assert f"{directory.record_file} cannot be written ({NO_ROOM}): make room, then" in str(failure.value)
    assert directory.record_file.read_bytes() == before


def test_result_is_read_back(directory: SweepDirectory) -> None:
    best = {"name": "00001", "score": 2.5}
    result = {"kind": "sweep", "metric": "score", "best": best, "trials": [], "directory": "x", "report": "x.html"}
    directory.write_result(result)
    assert directory.read_result("sweep") == result
    assert json.loads(directory.result_file.read_text()).items() >= result.items()
    assert yaml.safe_load(directory.description_file.read_text()) == TREE


QUEUE = {"queue": [{"name": "one", **TREE}, {"name": "two", **TREE}]}


@pytest.mark.parametrize(
    ("tree", "window_of"),
    [(TREE, lambda tree: tree["evaluation"]), (QUEUE, lambda tree: tree["queue"][1]["evaluation"])],
)
def test_a_sweep_with_trials_of_before_goes_on_with_the_score_window_of_before(
    tree: dict[str, Any], window_of: Callable[[Any], Any], tmp_path: Path
) -> None:
    with closing(SweepDirectory(tmp_path / "sweep")) as directory:
        directory.create("sweep", tree, TRACKING)
    assert directory.open()[0] == tree, "it has no trials"
    add_trial(directory, "trial", directory.open()[1])
    assert directory.open()[0] == tree, "its trial is of now"
    trial = directory.trials / "trial"
    text = (trial / "config.yaml").read_text()
    (trial / "config.yaml").write_text("")
    assert directory.open()[0] == tree, "a damaged file says nothing"
    text = "".join(line for line in text.splitlines(keepends=True) if "score_window" not in line)
    (trial / "config.yaml").write_text(text)
    origin = sealed.parse((trial / "run.json").read_bytes()) | {"config_sha256": None}
    (trial / "run.json").write_text(json.dumps(origin))
    assert window_of(directory.open()[0]) == {"score_window": 30}
