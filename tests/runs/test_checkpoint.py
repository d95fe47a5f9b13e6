"""Checkpoints that are whole or not there, and what is done with damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.runs.checkpoint import (
    ARRAYS,
    CHECKSUMS,
    REPLAY,
    VALUES,
    Checkpoint,
    DamagedCheckpoint,
    forget_after,
    list_checkpoints,
    load_newest,
    read_checkpoint,
    save_checkpoint,
)
from tests.support.checkpoints import AnyForm, form_of
from tests.support.runs import (
    Changes,
    checkpoint_names,
    copy_run,
    evaluated_steps,
    metric_histories,
    resume,
    train,
)

PAGE = "lane0-segment000000.arrow"


def save(root: Path, step: int, keep: int = 2) -> Path:
    """A checkpoint whose every part says its step."""
    arrays = {"weights": np.full(3, step, np.float32)}
    write = lambda directory, previous: (directory / PAGE).write_text(str(step))  # noqa: E731
    return save_checkpoint(root, step, arrays, {"env_steps": step, "exact": 0.1 + step}, write, keep)


def load(root: Path) -> tuple[tuple[Checkpoint, str] | None, list[str]]:
    said: list[str] = []
    return load_newest(root, AnyForm(), lambda checkpoint: (checkpoint.replay / PAGE).read_text(), said.append), said


def loaded_step(root: Path) -> tuple[int, list[str]]:
    """The step on which all parts of the newest good checkpoint agree, and what was said of others."""
    loaded, said = load(root)
    assert loaded is not None
    (checkpoint, page) = loaded
    step = int(page)
    assert checkpoint.values == {"env_steps": step, "exact": 0.1 + step}
    assert checkpoint.arrays["weights"].tolist() == [step] * 3
    return step, said


def test_listing_finds_the_one_that_takes_the_place_of_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run goes on while another process looks."""
    only, is_dir = save(tmp_path, 5), Path.is_dir

    def is_dir_after_the_run_has_gone_on(path: Path) -> bool:
        if path == only and is_dir(only):
            only.rename(only.with_name("step_000000000006"))
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", is_dir_after_the_run_has_gone_on)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step_000000000006"]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path, 20)
    assert loaded_step(tmp_path) == (20, [])


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    assert load(tmp_path / "absent") == (None, [])


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path: Path, keep: int) -> None:
    paths = [save(tmp_path, step, keep) for step in (5, 20, 100, 1000)]
    assert list_checkpoints(tmp_path) == sorted(tmp_path.iterdir()) == paths[-keep:]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    for step in (5, 20, 20):
        save(tmp_path, step)
    assert len(list_checkpoints(tmp_path)) == 2
    assert loaded_step(tmp_path) == (20, [])


def test_the_replay_is_told_of_the_previous_one(tmp_path: Path) -> None:
    seen: list[Path | None] = []
    for step in (5, 20):
        save_checkpoint(tmp_path, step, {}, {}, lambda directory, previous: seen.append(previous), 2)
    assert seen == [None, tmp_path / "step_000000000005" / "replay"]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_one_that_the_run_fell_back_from_is_neither_linked_nor_kept(tmp_path: Path, keep: int) -> None:
    good = save(tmp_path, 5, keep=3)
    flip(save(tmp_path, 7, keep=3) / ARRAYS)  # earlier than the next one, as after Ctrl-C
    (tmp_path / ".writing_000000000009").mkdir()
    forget_after(tmp_path, good)
    assert list(tmp_path.iterdir()) == [good]
    seen: list[Path | None] = []
    now = save_checkpoint(tmp_path, 10, {}, {}, lambda directory, previous: seen.append(previous), keep)
    assert seen == [good / "replay"]
    assert list_checkpoints(tmp_path) == [good, now][-keep:]


def test_a_checkpoint_is_written_aside(tmp_path: Path) -> None:
    save(tmp_path, 5)

    def fail(directory: Path, previous: Path | None) -> None:
        assert [path.name for path in list_checkpoints(tmp_path)] == ["step_000000000005"]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        save_checkpoint(tmp_path, 20, {}, {}, fail, keep=1)
    assert loaded_step(tmp_path) == (5, [])
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000000005"]
    save(tmp_path, 20)
    assert loaded_step(tmp_path) == (20, [])
    assert sorted(tmp_path.iterdir()) == list_checkpoints(tmp_path)


def test_what_another_process_still_wrote_of_a_failed_one_goes_with_the_next(tmp_path: Path) -> None:
    late = tmp_path / ".writing_000000000020" / "replay" / "shard1"
    late.mkdir(parents=True)
    (late / PAGE).write_text("20")
    assert list_checkpoints(tmp_path) == []
    save(tmp_path, 30)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000000030"]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = (flip, truncate, empty, Path.unlink)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *[(name, damage) for name in (ARRAYS, VALUES, CHECKSUMS) for damage in DAMAGES],
        (f"replay/{PAGE}", Path.unlink),  # the replay sees to the content of its own files
    ],
)
def test_a_damaged_one_is_named_and_the_one_before_is_used(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    save(tmp_path, 5)
    damage(save(tmp_path, 20) / name)
    step, (said,) = loaded_step(tmp_path)
    assert step == 5
    assert said.startswith(f"The checkpoint {tmp_path / 'step_000000000020'} is damaged (")


def test_no_good_one_is_none(tmp_path: Path) -> None:
    for step in (5, 20):
        flip(save(tmp_path, step) / ARRAYS)
    loaded, said = load(tmp_path)
    assert loaded is None
    assert len(said) == 2


def test_the_damaged_part_is_named(tmp_path: Path) -> None:
    path = save(tmp_path, 5)
    flip(path / VALUES)
    with pytest.raises(DamagedCheckpoint, match=f"^{VALUES} does not match its checksum$"):
        read_checkpoint(path, AnyForm())


@pytest.mark.parametrize("part", [ARRAYS, VALUES, CHECKSUMS])
def test_any_flipped_byte_is_noticed(tmp_path: Path, part: str) -> None:
    path = save(tmp_path, 5) / part
    good = path.read_bytes()
    for place in range(0, len(good), 3):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        loaded, said = load(tmp_path)
        assert loaded is None, place
        assert len(said) == 1


@pytest.mark.parametrize("checksums", ["null", "[]", "{}", '"text"', "7"])
def test_checksums_that_are_none_are_damage(tmp_path: Path, checksums: str) -> None:
    path = save(tmp_path, 5)
    (path / CHECKSUMS).write_text(checksums)
    with pytest.raises(DamagedCheckpoint, match="checksum"):
        read_checkpoint(path, AnyForm())


# The checkpoints of a real run.

LANES: Changes = {"runtime__envs_per_rollout": 2, "steps": 300, "checkpoint__interval": 100}
FILES = (
    ARRAYS,
    VALUES,
    CHECKSUMS,
    "replay/index.json",
    "replay/lane0-segment000000.arrow",
    "replay/lane1-segment000000.arrow",
)
BEFORE, NEWEST = "step_000000000200", "step_000000000300"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run to its end, and its result."""
    directory = tmp_path_factory.mktemp("finished") / "run"
    return directory, train(directory, **LANES)


@pytest.fixture
def unfinished(finished: tuple[Path, Any], tmp_path: Path) -> Path:
    """The same run as if it had been killed after its last checkpoint."""
    directory = copy_run(finished[0], tmp_path)
    for name in ("result.json", "policy.safetensors"):
        (directory / name).unlink()
    return directory


def files(checkpoint: Path) -> list[str]:
    return sorted(str(path.relative_to(checkpoint)) for path in checkpoint.rglob("*") if path.is_file())


def test_every_file_of_a_checkpoint_is_damaged_here(unfinished: Path) -> None:
    assert checkpoint_names(unfinished) == [BEFORE, NEWEST]
    assert files(unfinished / "checkpoints" / NEWEST) == sorted(FILES)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_run_goes_on_from_the_checkpoint_before_a_damaged_one_to_the_same_bits(
    file: str,
    damage: Callable[[Path], None],
    unfinished: Path,
    finished: tuple[Path, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    newest = unfinished / "checkpoints" / NEWEST
    damage(newest / file)
    result = resume(unfinished)
    (said,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("env step 300")]
    assert said.startswith(f"The checkpoint {newest} is damaged (")
    assert ("checksum" if file == CHECKSUMS else Path(file).name) in said
    assert result["policy_digest"] == finished[1]["policy_digest"]
    assert result["evaluations"] == finished[1]["evaluations"]
    assert evaluated_steps(unfinished) == [100, 200, 300]
    assert [step for step, _ in metric_histories(unfinished)["evaluation/return_mean"]] == [100, 200, 300]
    assert files(newest) == sorted(FILES), "it was written again"
    assert read_checkpoint(newest, form_of(unfinished)).values["env_steps"] == 300


def test_shard_whose_whole_folder_is_gone_is_damage(tmp_path: Path) -> None:
    def save_shards(directory: Path, previous: Path | None) -> None:
        for shard in ("shard0", "shard1"):
            (directory / shard).mkdir()

    for step in (5, 20):
        save_checkpoint(tmp_path, step, {}, {}, save_shards, keep=2)
    (list_checkpoints(tmp_path)[-1] / REPLAY / "shard1").rmdir()
    said: list[str] = []
    loaded = load_newest(tmp_path, AnyForm(), lambda checkpoint: None, said.append)
    assert loaded is not None
    assert loaded[0].path == list_checkpoints(tmp_path)[0]
    assert "shard1 is missing" in said[0]
