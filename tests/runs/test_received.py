"""The directory of a run that somebody else made: a result or one sentence, and nothing outside of it is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from rlx2_ray.cli.main import run
from rlx2_ray.experiment.run import Run, Training
from rlx2_ray.report.page.page import report_markdown
from rlx2_ray.report.record.directory import read_directory
from rlx2_ray.runs import archive, sealed
from rlx2_ray.runs.directory import RunDirectory, _sha256
from rlx2_ray.runs.parts import parse_point
from rlx2_ray.types import BadInput
from tests.support import runs
from tests.support.alterations import altered, broken, check_read_or_refused, state_of
from tests.support.fuzz import fuzz

LINKED = ["progress.jsonl", "run.lock", "undelivered", "result.json", "run.json", "policy.safetensors", "checkpoints"]
LINKED += ["log.txt", ".checkpoints.copy", "anything", "checkpoints/.writing_000000000300", "checkpoints/step_1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    runs.train(directory, steps=300)
    return directory


@pytest.fixture
def received(finished: Path, tmp_path: Path) -> Path:
    """The same run, unfinished, beside files of others."""
    directory = runs.copy_run(finished, tmp_path / "received")
    (directory / "result.json").unlink()
    outside = tmp_path / "precious"
    (outside / "checkpoints" / "step_000000000100").mkdir(parents=True)
    (outside / "checkpoints" / "step_000000000100" / "values.json").write_text("precious")
    (outside / "file").write_text("precious")
    return directory


def never(run: Run, resume: bool) -> Training:
    raise AssertionError
    yield


# Links


@pytest.mark.parametrize("name", LINKED)
def test_nothing_is_written_where_a_part_is_a_link(
    name: str, received: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, outside = received / name, tmp_path / "precious"
    if place.is_dir():
        shutil.rmtree(place)
    elif name == "run.json":  # or it would not be known as a run
        shutil.copy(place, outside)
    place.unlink(missing_ok=True)
    targets = {"checkpoints": "checkpoints", "run.json": "run.json", "result.json": "nothing"}
    place.symlink_to(outside / targets.get(name, "file"))
    before, inside = state_of(outside), state_of(received)
    assert run(["resume", str(received)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"rlx2: {place} is a symbolic link, and nothing is written where one may lead elsewhere")
    assert error.count("\n") == 1
    assert state_of(outside) == before
    assert state_of(received) == inside


def test_links_outside_of_it_stay_what_they_are(received: Path, tmp_path: Path) -> None:
    """Such as that of a person who keeps runs on another disk."""
    (tmp_path / "here").symlink_to(received.parent)
    result = runs.resume(tmp_path / "here" / received.name)
    assert result["env_steps"] == 300


@pytest.mark.parametrize("name", ["progress.jsonl", "run.lock", "log.txt"])
def test_a_link_that_comes_later_is_not_followed(name: str, received: Path, tmp_path: Path) -> None:
    from rlx2_ray import files

    place, outside = received / name, tmp_path / "precious" / "file"
    place.unlink(missing_ok=True)
    place.symlink_to(outside)
    for write in (lambda: files.append(place, "chosen"), lambda: files.lock(place, 0.0)):
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            write()
    assert outside.read_text() == "precious"


def test_files_that_end_are_read_and_no_others(received: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe would let every command wait for ever, and /dev/zero fill the memory."""
    for name in ("config.yaml", "run.json", "result.json", "progress.jsonl"):
        file, aside = received / name, received.parent / "aside"
        if file.exists():
            file.rename(aside)
        for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir):
            make(file)
            for command in (["report"], ["archive", "--into", str(received.parent / "archive")], ["evaluate"]):
                code = run([command[0], str(received), *command[1:]])
                said = capsys.readouterr()
                assert code in ((0, 2) if name == "progress.jsonl" else (2,)) or "left out" in said.err + said.out, said
                assert "Traceback" not in said.err
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
        if aside.exists():
            aside.rename(file)


def test_files_larger_than_any_are_not_read(received: Path) -> None:
    for name in ("run.json", "config.yaml", "result.json", "progress.jsonl"):
        file = received / name
        before = file.read_bytes() if file.exists() else None
        with file.open("ab") as opened:
            opened.truncate(2**40)  # of which the disk has nothing
        with pytest.raises(BadInput, match=name.replace(".", r"\.")):
            read_directory(received)
        file.unlink()
        if before is not None:
            file.write_bytes(before)


# Values

NAMES = ["run.json", "result.json", "progress.jsonl", "config.yaml", "undelivered"]


def alter(draw: Callable[[Any], Any], directory: Path, name: str) -> None:
    """Change one file of a run, and make all digests of it anew, as one would who wants it read."""
    file = directory / name
    content = file.read_bytes() if file.exists() else b"FINISHED 3\n"
    if draw(st.booleans()) and name != "undelivered":
        if name == "progress.jsonl":
            lines = [json.loads(line) for line in content.splitlines()]
            value = altered(draw, lines)
            lines = value if isinstance(value, list) else [value]
            content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        elif name == "config.yaml":
            from rlx2_ray.config import yaml_text

            try:
                content = yaml_text.write(altered(draw, yaml_text.read(content.decode(), "here"))).encode()
            except UnicodeEncodeError:
                content = b"\xff"
        else:
            value = altered(draw, {key: each for key, each in json.loads(content).items() if key != "sha256"})
            content = (sealed.to_text(value) if isinstance(value, dict) else json.dumps(value)).encode()
    else:
        content = broken(draw, content)
    file.write_bytes(content)
    if name in ("config.yaml", "result.json"):
        origin = sealed.parse((directory / "run.json").read_bytes())
        origin["config_sha256"] = _sha256((directory / "config.yaml").read_bytes())
        try:
            origin["result_sha256"] = sealed.digest(json.loads((directory / "result.json").read_bytes()))
        except (ValueError, RecursionError):
            origin["result_sha256"] = None
        (directory / "run.json").write_text(sealed.to_text(origin))


@fuzz
def test_altered_run_is_a_result_or_one_sentence(data: st.DataObject, finished: Path) -> None:
    folder = finished.parent / "fuzz"
    shutil.rmtree(folder, ignore_errors=True)
    directory = folder / "run"
    shutil.copytree(finished, directory, ignore=shutil.ignore_patterns("checkpoints", "run.lock"))
    outside = finished.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "file").write_text("precious")
    before = state_of(outside), state_of(finished)
    name = data.draw(st.sampled_from(NAMES))
    alter(data.draw, directory, name)
    if data.draw(st.booleans()) and name != "result.json":
        (directory / "result.json").unlink()
    for read in (_read_all, lambda path: report_markdown(read_directory(path)), _archive, _resume):
        check_read_or_refused(partial(read, directory))
    assert (state_of(outside), state_of(finished)) == before


def _read_all(path: Path) -> None:
    directory = RunDirectory(path)
    directory.open()
    directory.read_whole()
    directory.waiting()


def _archive(path: Path) -> None:
    archive.add(path, path.parent / "archive")


def _resume(path: Path) -> None:
    """Up to where the work would begin."""
    with closing(RunDirectory(path)) as directory:
        config, _ = directory.open()
        directory.lock()
        finished = directory.read_result()
        if finished is not None:
            from rlx2_ray.cli.train import show

            show(finished, path, as_json=False)
        else:
            directory.rewind(10**6)
        assert config.steps > 0


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, True, "1", [1]])
def test_point_with_what_no_table_holds_is_none(value: Any) -> None:
    point = {"env_steps": 1, "learner_steps": 1, "return_mean": 0.5, "return_std": 0.5}
    assert parse_point(json.dumps(point | {"x": -(2**63)}).encode())["x"] == -(2**63)
    with pytest.raises(ValueError, match=r"^'x' is "):
        parse_point(json.dumps(point | {"x": value}).encode())
