"""A disk that fills up, a real one of a megabyte or two: what a run keeps, what it says, and how it goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.types import Interrupted, RunFailed
from tests.support.runs import (
    Changes,
    checkpoint_names,
    database_uri,
    ended,
    evaluated_steps,
    metric_histories,
    resume,
    rlx2,
    small_arguments,
    start_train,
    tracked_run,
    train,
    wait_for,
)
from tests.support.runs import said as lines_of
from tests.support.strange_envs import Drift, Stepped

PAGE = 4096  # bytes: a tmpfs gives room by the page
FULL = "No space left on device"
NO_CHECKPOINT = 6 * PAGE  # bytes left: enough for some points, too little for a checkpoint
SHARDS_FAIL = 11 * PAGE  # the weights have room, the replay has not
KEEP_ALL = 100  # checkpoints: an old one that is removed makes room


class Disk:
    """A file system of its own at `root`, which a ballast fills."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ballast = root / "ballast"

    def fill(self, leave: int = 0) -> None:
        """All but `leave` bytes."""
        state = os.statvfs(self.root)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - leave)

    def make_room(self) -> None:
        os.truncate(self._ballast, 0)

    @property
    def is_full(self) -> bool:
        return self.was_full and self._ballast.stat().st_size > 0

    @property
    def was_full(self) -> bool:
        return self._ballast.exists()


class Filling(Drift):
    """Fills the disk at step `fill` of its life, but for `leave` bytes, where it never was full; frees it at `room`.

    Presses Ctrl-C at step `stop` where it is full then.
    """

    def __init__(self, disk: str, fill: int, leave: int = NO_CHECKPOINT, room: int = 0, stop: int = 0) -> None:
        self._disk, self._fill, self._leave, self._room, self._stop = Disk(Path(disk)), fill, leave, room, stop
        self._steps_ever = 0

    def step(self, action: np.ndarray) -> Stepped:
        self._steps_ever += 1
        if self._steps_ever == self._fill and not self._disk.was_full:
            self._disk.fill(self._leave)
        if self._steps_ever == self._room:
            self._disk.make_room()
        if self._steps_ever == self._stop and self._disk.is_full:
            os.kill(os.getpid(), signal.SIGINT)
        return super().step(action)


gymnasium.register("Filling-v0", Filling)

RUN: Changes = {"checkpoint__interval": 100, "evaluation__interval": 200, "steps": 600}
POINTS = [200, 400, 600]


def filling(disk: Disk, **kwargs: int) -> Changes:
    return RUN | {"env__id": f"{__name__}:Filling-v0", "env__kwargs": {"disk": str(disk.root), **kwargs}}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    root = tmp_path / "disk"
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(root)]
    mount = subprocess.run(command, capture_output=True, text=True)
    if mount.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    yield Disk(root)
    subprocess.run(["umount", "--lazy", str(root)], check=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The result of the run whose disk has room."""
    return train(tmp_path_factory.mktemp("undisturbed") / "run", **RUN, env__id="tests.support.strange_envs:Drift-v0")


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a run has said beside its points."""
    return lines_of(capsys.readouterr().err)


def check_finished(directory: Path, result: dict[str, Any], undisturbed: dict[str, Any]) -> None:
    assert result["policy_digest"] == undisturbed["policy_digest"]
    assert result["evaluations"] == undisturbed["evaluations"]
    assert evaluated_steps(directory) == POINTS
    assert [step for step, _ in metric_histories(directory)["evaluation/return_mean"]] == POINTS
    assert tracked_run(directory).info.status == "FINISHED"


def test_run_goes_on_without_checkpoints_until_there_is_room(
    disk: Disk, undisturbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(disk.root, **filling(disk, fill=250, room=450))
    root = disk.root / "checkpoints"
    assert said(capsys) == [
        f"The checkpoint {root}/step_000000000300 cannot be written ({FULL}), so step_000000000200 stays the newest: "
        "make room for the next one.",
        f"The checkpoint {root}/step_000000000400 cannot be written ({FULL}), so step_000000000200 stays the newest: "
        "make room for the next one.",
        f"Checkpoints can be written again: {root}/step_000000000500.",
    ]
    assert checkpoint_names(disk.root) == ["step_000000000500", "step_000000000600"]
    check_finished(disk.root, result, undisturbed)


@pytest.mark.parametrize(
    ("interval", "kept", "rest"),
    [
        (100, ["step_000000000400", "step_000000000500"], "goes on from step_000000000500"),
        (1000, [], "begins anew"),
    ],
)
def test_run_whose_last_checkpoint_has_no_room_fails_and_goes_on_later(
    interval: int, kept: list[str], rest: str, disk: Disk, undisturbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunFailed) as failure:
        train(disk.root, **filling(disk, fill=550) | {"checkpoint__interval": interval})
    assert str(failure.value) == (
        f"The last checkpoint is not written: make room, then 'rlx2 resume {disk.root}' {rest}."
    )
    assert len(said(capsys)) == 1
    assert checkpoint_names(disk.root) == kept, "nothing unfinished is left"
    assert not (disk.root / "result.json").exists()
    assert tracked_run(disk.root).info.status == "FAILED"
    disk.make_room()
    check_finished(disk.root, resume(disk.root), undisturbed)


def test_run_whose_point_has_no_room_fails_and_goes_on_later(disk: Disk, undisturbed: Any) -> None:
    """Its first point, since a page that has begun holds several."""
    with pytest.raises(RunFailed) as failure:
        train(disk.root, **filling(disk, fill=150, leave=0))
    assert str(failure.value) == (
        f"{disk.root}/progress.jsonl cannot be written ({FULL}): make room, then 'rlx2 resume {disk.root}' goes on."
    )
    with pytest.raises(RunFailed, match=re.escape(str(failure.value))):
        resume(disk.root)
    disk.make_room()
    check_finished(disk.root, resume(disk.root), undisturbed)


def test_point_that_was_half_written_is_measured_again(disk: Disk) -> None:
    """About ten points make a page, so one of them is the first that goes over its end."""
    changes = filling(disk, fill=250, leave=0) | {"checkpoint__interval": 150, "evaluation__interval": 20}
    with pytest.raises(RunFailed, match=r"progress\.jsonl cannot be written"):
        train(disk.root, **changes)
    progress = disk.root / "progress.jsonl"
    assert progress.stat().st_size % PAGE == 0, "the disk took as much as it had room for"
    disk.make_room()
    resume(disk.root)
    assert evaluated_steps(disk.root) == list(range(20, 601, 20))
    assert [step for step, _ in metric_histories(disk.root)["evaluation/return_mean"]] == list(range(20, 601, 20))


@pytest.mark.parametrize(
    ("file", "hidden", "pages"),
    [
        ("progress.jsonl", 16, 0),  # which is written anew when a run goes on
        ("policy.safetensors", 64, 1),
        ("result.json", 16, 1),
    ],
)
def test_finished_run_whose_files_have_no_room_fails_and_is_finished_later(
    file: str, hidden: int, pages: int, disk: Disk, tmp_path: Path
) -> None:
    result = train(disk.root, **RUN, network__hidden=[hidden, hidden])
    for name in ("policy.safetensors", "result.json"):
        (disk.root / name).unlink()
    disk.fill(leave=pages * PAGE)
    with pytest.raises(RunFailed) as failure:
        resume(disk.root)
    assert str(failure.value).startswith(f"{disk.root / file} cannot be written (")
    assert FULL in str(failure.value)
    assert str(failure.value).endswith(f"): make room, then 'rlx2 resume {disk.root}' goes on.")
    assert tracked_run(disk.root).info.status == "FAILED"
    disk.make_room()
    check_finished(disk.root, resume(disk.root), result)


def test_interrupted_run_does_not_claim_a_checkpoint_that_had_no_room(disk: Disk, undisturbed: Any) -> None:
    with pytest.raises(Interrupted) as interruption:
        train(disk.root, **filling(disk, fill=250, stop=350))
    assert str(interruption.value) == (
        f"Stopped without a checkpoint of this moment: make room, then 'rlx2 resume {disk.root}' goes on from "
        "step_000000000200."
    )
    assert checkpoint_names(disk.root) == ["step_000000000100", "step_000000000200"]
    assert tracked_run(disk.root).info.status == "KILLED"
    disk.make_room()
    check_finished(disk.root, resume(disk.root), undisturbed)


def test_run_cannot_begin_on_a_full_disk_and_leaves_nothing(
    disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = disk.root / "run"
    arguments = ["train", "--out", str(directory), "--tracking-uri", database_uri(tmp_path), *small_arguments(**RUN)]
    disk.fill()
    assert run(arguments) == 2
    assert capsys.readouterr().err == (
        f"rlx2: --out is {directory}, which cannot be written to ({FULL}): make room, or give another one.\n"
    )
    assert list(directory.iterdir()) == []
    disk.make_room()
    assert run(arguments) == 0


def next_line_with(text: str, process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return next(line for line in process.stderr if text in line)


def test_command_outlives_a_full_disk_and_ends_with_1_where_it_stays_full(disk: Disk) -> None:
    """The database of MLflow is on the same disk."""
    directory = disk.root / "run"
    changes = {"steps": 4000, "evaluation__interval": 2000, "checkpoint__interval": 100, "checkpoint__keep": KEEP_ALL}
    with ended(start_train(directory, **changes)) as process:
        wait_for(lambda: list(directory.glob("checkpoints/step_*")), process)
        disk.fill(leave=NO_CHECKPOINT)
        assert " stays the newest: make room for the next one.\n" in next_line_with("cannot be written", process)
        disk.make_room()
        next_line_with("Checkpoints can be written again", process)
        disk.fill()
        _, error = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in error
    # A checkpoint that failed may have left its room to a point, which then is written; the last checkpoint never is.
    last = error.splitlines()[-1]
    assert re.fullmatch(rf"rlx2: .* (cannot be|is not) written.*: make room, then 'rlx2 resume {directory}' .*\.", last)

    disk.make_room()
    again = rlx2("resume", str(directory), folder=disk.root)
    assert again.returncode == 0, again.stderr
    assert evaluated_steps(directory) == [2000, 4000]
    assert [step for step, _ in metric_histories(directory)["evaluation/return_mean"]] == [2000, 4000]
    assert tracked_run(directory).info.status == "FINISHED"


@pytest.mark.slow
def test_shards_that_have_no_room_are_no_reason_to_stop_either(disk: Disk) -> None:
    """Their errors come from other processes."""
    directory = disk.root / "run"
    actors = {"runtime__kind": "actors", "runtime__rollout_actors": 2, "runtime__replay_shards": 2}
    rest = {"evaluation__interval": 3000, "checkpoint__interval": 200, "checkpoint__keep": KEEP_ALL}
    with ended(start_train(directory, steps=6000, **actors, **rest)) as process:
        wait_for(lambda: list(directory.glob("checkpoints/step_*")), process)
        disk.fill(leave=SHARDS_FAIL)
        unwritten = next_line_with("cannot be written", process)
        assert f"cannot be written ({FULL}), so step_" in unwritten
        disk.make_room()
        next_line_with("Checkpoints can be written again", process)
        _, error = process.communicate()
    assert process.returncode == 0, error
    assert "Traceback" not in error
    assert evaluated_steps(directory) == [3000, 6000]
    assert [path.name for path in directory.glob("checkpoints/.writing_*")] == []
