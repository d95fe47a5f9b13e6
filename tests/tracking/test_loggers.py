"""TensorBoard's files and Weights & Biases, as their own formats have them: each point once, under MLflow's names."""

from __future__ import annotations

import importlib.util
import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.tracking import loggers
from rlx2_ray.tracking.loggers import Background, Kind, Logger, Mark, Subject
from tests.support.runs import metric_histories, small_arguments, train

Scalars = Counter[tuple[str, int]]  # (name, step)


def tensorboard(folder: Path) -> Scalars:
    from tensorboardX.proto.event_pb2 import Event

    found: Scalars = Counter()
    for file in folder.glob("events*"):
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            found.update((value.tag, event.step) for value in event.summary.value)
            place += 16 + length
    return found


def wandb_records(file: Path) -> list[Any]:
    """Those of a file, which is a log as LevelDB has it: blocks of 32 KiB with pieces of records."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, whole, records = file.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        left = 2**15 - place % 2**15
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            records.append(Record.FromString(whole))
            whole = b""
    return records


def wandb_history(folder: Path) -> Scalars:
    found: Scalars = Counter()
    for file in folder.glob("offline-run-*/*.wandb"):
        for record in wandb_records(file):
            if record.WhichOneof("record_type") == "history":
                row = {item.key or ".".join(item.nested_key): item.value_json for item in record.history.item}
                found.update((name, int(row["_step"])) for name in row if not name.startswith("_"))
    return found


def mlflow(directory: Path) -> Scalars:
    return Counter((name, step) for name, points in metric_histories(directory).items() for step, _ in points)


def test_both_have_what_mlflow_has_and_go_on_in_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    directory = tmp_path / "run"
    train(directory, steps=300, tracking__loggers=["tensorboard", "wandb"])
    session.resume(directory, train_on_runtime, {"steps": 400})
    expected = Counter({key: 1 for key in mlflow(directory) if key[0] != "replay/policy_distance"})
    finite = {key for key in tensorboard(directory / "tensorboard")}
    assert set(expected) <= finite
    assert tensorboard(directory / "tensorboard") == wandb_history(tmp_path / "wandb")
    assert set(tensorboard(directory / "tensorboard").values()) == {1}, "no point is there twice"
    ids = {file.name.split("-", 3)[3] for file in (tmp_path / "wandb").glob("offline-run-*")}
    assert len(ids) == 1, "it is one run"


def test_logger_that_fails_is_said_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(Logger):
        def __init__(self, subject: Subject, warn: Any) -> None: ...

        def log(self, step: int, values: Any) -> None:
            raise OSError("no room")

        def finish(self, is_finished: bool) -> None: ...

    monkeypatch.setitem(loggers.KINDS, "wandb", Kind("json", Failing))
    result = train(tmp_path / "run", steps=300, tracking__loggers=["wandb"])
    assert result["env_steps"] == 300
    error = " ".join(capsys.readouterr().err.split())
    assert error.count("wandb cannot be used (OSError: no room): the run goes on without it.") == 1


def test_logger_that_does_not_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    for_ever = threading.Event()

    class Silent(Logger):
        def __init__(self, subject: Subject, warn: Any) -> None: ...

        def log(self, step: int, values: Any) -> None:
            for_ever.wait()

        def finish(self, is_finished: bool) -> None: ...

    monkeypatch.setitem(loggers.KINDS, "wandb", Kind("json", Silent))
    monkeypatch.setattr(loggers, "FINISH_S", 0.05)
    said: list[str] = []
    logger = Background("wandb", Subject(tmp_path, "key", "tests", {}), said.append)
    logger.log([{"env_steps": 1, "score": 1.0}])
    logger.finish(True)
    assert said == ["wandb has not ended in 0 s, and is left: it may lack the last points."]
    for_ever.set()


def test_missing_package_is_refused_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else found(name))
    assert run(["train", *small_arguments(), "--logger", "wandb", "--out", str(tmp_path / "run")]) == 2
    assert "tracking.loggers has wandb, which is not installed: 'pip install wandb'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert run(["train", "--logger", "comet"]) == 2
    assert "tracking.loggers.0 is 'comet'" in capsys.readouterr().err


def test_mark_by_hand(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark.json")
    values = {"a": 1.0, "b": 2.0, "c": float("nan")}
    assert mark.new(0, values) == {"a": 1.0, "b": 2.0}
    mark.set(100, ["a", "b"])
    again = Mark(tmp_path / "mark.json")
    assert again.new(50, values) == {}
    assert again.new(100, {**values, "d": 4.0}) == {"d": 4.0}
    again.set(100, ["d"])
    assert Mark(tmp_path / "mark.json").new(100, {**values, "d": 4.0}) == {}
    assert again.new(200, values) == {"a": 1.0, "b": 2.0}
    for damaged in ("", "[]", '{"step": "x"}', json.dumps({"step": 3})):
        (tmp_path / "mark.json").write_text(damaged)
        assert Mark(tmp_path / "mark.json").new(0, {"a": 1.0}) == {"a": 1.0}
