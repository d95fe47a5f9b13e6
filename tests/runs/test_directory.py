"""The run directory: what marks it as a run, who may write, what a rewind forgets, and what is said of damage."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rlx2_ray import files
from rlx2_ray.cli.main import run
from rlx2_ray.runs.checkpoint import copy_checkpoint
from rlx2_ray.runs.directory import RunDirectory, Tracking, reason
from rlx2_ray.types import BadInput, Damaged, RunFailed
from tests.support.runs import RESULT, flip_byte, made_point, small_config


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "folder" / "run")


def test_created_directory_reads_back_its_configuration_and_origin(directory: RunDirectory) -> None:
    config = small_config(algo="sac")
    directory.create(config, Tracking("sqlite:////somewhere/mlflow.db", "hopper"))
    read, origin = directory.open()
    assert read == config
    assert read.hash == config.hash
    assert (origin.tracking_uri, origin.experiment) == ("sqlite:////somewhere/mlflow.db", "hopper")
    assert origin.trial_key.startswith(config.hash)
    directory.close()


def test_two_runs_of_one_configuration_have_different_trial_keys(tmp_path: Path) -> None:
    keys = set()
    for name in ("first", "second"):
        directory = RunDirectory(tmp_path / name)
        directory.create(small_config(), Tracking("sqlite:////mlflow.db", "hopper"))
        keys.add(directory.open()[1].trial_key)
        directory.close()
    assert len(keys) == 2


def test_created_directory_is_in_use_until_it_is_closed(directory: RunDirectory) -> None:
    directory.create(small_config(), Tracking("sqlite:////mlflow.db", "hopper"))
    other = RunDirectory(directory.path)
    with pytest.raises(BadInput, match="in use"):
        other.lock()
    other.close()
    directory.close()
    other = RunDirectory(directory.path)
    other.lock()
    other.close()


def test_new_and_empty_directories_are_unused(directory: RunDirectory) -> None:
    directory.check_unused()
    directory.path.mkdir(parents=True)
    directory.check_unused()


def test_directory_with_anything_in_it_is_used(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    (directory.path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="not an empty directory"):
        directory.check_unused()


def test_rewind_keeps_the_points_up_to_an_env_step(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    for env_steps in (10, 20, 30):
        directory.append(made_point(env_steps))
    kept = directory.rewind(20)
    assert [point["env_steps"] for point in kept] == [10, 20]
    lines = (directory.path / "progress.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == kept
    directory.append(made_point(25))
    assert [point["env_steps"] for point in directory.rewind(100)] == [10, 20, 25]


def test_rewind_drops_a_line_that_was_cut_short(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    directory.append(made_point(10))
    with (directory.path / "progress.jsonl").open("a") as file:
        file.write('{"env_st')
    assert directory.rewind(100) == [made_point(10)]
    directory.append(made_point(20))
    assert directory.rewind(100) == [made_point(10), made_point(20)]


def test_result_is_there_only_once_it_is_written(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    assert directory.read_result() is None
    directory.write_result(RESULT)
    assert directory.read_result() == RESULT
    assert [path.name for path in directory.path.iterdir()] == ["result.json"]


@pytest.fixture
def created(directory: RunDirectory) -> Iterator[RunDirectory]:
    """In use, so that a command that were satisfied with damage would get no farther than that."""
    directory.create(small_config(), Tracking(f"sqlite:///{directory.path}/mlflow.db", "hopper"))
    yield directory
    directory.close()


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("command", ["resume", "evaluate"])
@pytest.mark.parametrize("damage", [flip_byte, cut, empty, Path.unlink])
@pytest.mark.parametrize("name", ["config.yaml", "run.json"])
def test_damage_is_one_sentence_and_exit_code_2(
    name: str,
    damage: Callable[[Path], None],
    command: str,
    created: RunDirectory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(created.path / name)
    assert run([command, str(created.path)]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert error.count("\n") == 1
    is_gone = (name, damage) == ("config.yaml", Path.unlink)
    assert error.startswith(f"rlx2: {created.path if is_gone else created.path / name} ")
    assert ("holds no run" if is_gone else "restore it from a copy") in error


def test_configuration_that_differs_in_any_byte_is_refused(created: RunDirectory) -> None:
    good = created.config_file.read_bytes()
    for place in range(0, len(good), 7):
        created.config_file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(BadInput, match=r"config\.yaml is not as the run wrote it"):
            created.open()
    created.config_file.write_bytes(good)
    created.open()


def test_run_of_an_earlier_version_has_no_checksum_and_is_opened(created: RunDirectory) -> None:
    origin = json.loads((created.path / "run.json").read_text())
    del origin["config_sha256"], origin["sha256"]
    (created.path / "run.json").write_text(json.dumps(origin))
    assert created.open()[0] == small_config()
    created.config_file.write_text("seed: 0\nsteps: 300\n")
    with pytest.raises(Damaged, match=r"config\.yaml is empty or cut short"):  # and no default stands for it
        created.open()


def test_line_of_the_progress_that_is_damaged_is_named_and_no_point_is_lost(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    for env_steps in (10, 20, 30):
        directory.append(made_point(env_steps))
    progress = directory.path / "progress.jsonl"
    flip_byte(progress)
    damaged = progress.read_bytes()
    with pytest.raises(BadInput, match=r"progress\.jsonl is damaged in line 2: 'rlx2 resume"):
        directory.rewind(100)
    assert progress.read_bytes() == damaged


def test_damaged_result_is_one_sentence(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    directory.write_result(RESULT)
    flip_byte(directory.result_file)
    with pytest.raises(BadInput, match=r"result\.json is damaged: remove it, and 'rlx2 resume' writes it again"):
        directory.read_result()


def test_what_cannot_be_written_is_one_sentence_that_says_how_to_go_on(directory: RunDirectory) -> None:
    directory.path.mkdir(parents=True)
    (directory.path / "progress.jsonl").mkdir()  # as good as a full disk: an OSError
    with pytest.raises(RunFailed) as failure:
        directory.append(made_point(10))
    assert str(failure.value) == (
        f"{directory.path}/progress.jsonl cannot be written (Is a directory): "
        f"make room, then 'rlx2 resume {directory.path}' goes on."
    )


def test_reason_of_an_error_of_an_actor_is_that_of_its_cause() -> None:
    from ray.exceptions import RayTaskError

    full = OSError(errno.ENOSPC, "No space left on device", "/some/file")
    of_an_actor = RayTaskError("save", "Traceback\n  of many\n  lines", full).as_instanceof_cause()
    assert isinstance(of_an_actor, OSError)
    assert reason(of_an_actor) == reason(full) == "No space left on device"
    assert reason(OSError("the disk failed")) == "the disk failed"


@pytest.mark.parametrize("written", range(4))
def test_run_that_takes_another_s_state_can_be_opened_at_any_moment(
    directory: RunDirectory, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a report, or after a kill: `written` files had been replaced by then."""
    before, after = small_config(), small_config(agent__tau=0.25)
    tracking = Tracking("sqlite:////mlflow.db", "hopper")
    directory.create(before, tracking)
    write, left = files.write, iter(range(written))

    def write_some(path: Path, content: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write", write_some)
        with suppress(KeyboardInterrupt, FileNotFoundError):
            directory.adopt(after, tracking, directory.path / "no checkpoint", directory.path / "no points")
    assert directory.open()[0] == (after if written > 1 else before)
    directory.close()


def test_copy_of_a_checkpoint_that_was_killed_leaves_the_one_or_the_other(
    directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, root in (("step_000000000400", directory.checkpoints), ("step_000000000200", tmp_path)):
        (root / name).mkdir(parents=True)
        (root / name / "values.json").write_text(name)
    rename = Path.replace
    for renamed in range(3):
        left = iter(range(renamed))

        def rename_some(path: Path, target: Path, left: Iterator[int] = left) -> Path:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            patched.setattr(Path, "replace", rename_some)
            copy_checkpoint(tmp_path / "step_000000000200", directory.checkpoints)
        directory.lock()
        directory.close()
        (there,) = directory.checkpoints.iterdir()
        assert (there / "values.json").read_text() == there.name
        assert there.name == ("step_000000000200" if renamed == 2 else "step_000000000400")


# What a sweep knows of its trials


@pytest.mark.parametrize("damage", [flip_byte, cut, empty, Path.unlink])
@pytest.mark.parametrize("name", ["config.yaml", "run.json"])
def test_file_is_written_again_where_the_other_says_that_it_was_so(
    name: str, damage: Callable[[Path], None], created: RunDirectory
) -> None:
    tracking = Tracking(f"sqlite:///{created.path}/mlflow.db", "hopper", created.open()[1].trial_key)
    (created.checkpoints / "step_000000000100").mkdir(parents=True)
    before, file = created.open(), created.path / name
    damage(file)
    with pytest.raises(Damaged, match=name):
        created.open()
    with pytest.raises(Damaged, match=name):
        created.mend(small_config(seed=9), tracking)
    created.mend(small_config(), tracking)
    assert created.open() == before


def test_result_that_says_something_else_is_damaged(created: RunDirectory) -> None:
    created.write_result(RESULT)
    created.write_result(RESULT | {"score": 2.5})
    assert created.read_result() == RESULT | {"score": 2.5}
    created.result_file.write_text(created.result_file.read_text().replace("2.5", "1.5"))
    with pytest.raises(Damaged, match=r"result\.json is damaged"):
        created.read_result()
