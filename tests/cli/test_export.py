"""`rlx2 export`: the replay of a run, ended or not, of either runtime, as a Parquet file."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from rlx2_ray import __version__
from rlx2_ray.agents.engines import make_learner
from rlx2_ray.cli.main import run
from rlx2_ray.config import load, resolve
from rlx2_ray.replay import parquet as module
from rlx2_ray.replay import snapshot
from rlx2_ray.replay.buffer import ReplayBuffer
from rlx2_ray.replay.columns import Columns
from rlx2_ray.runs.checkpoint import save_checkpoint
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.types import Spaces
from tests.replay.streams import FragmentSource
from tests.support.checkpoints import alter_values
from tests.support.commands import refused, succeeded
from tests.support.runs import (
    Changes,
    ended,
    flip_byte,
    rlx2,
    small_arguments,
    small_config,
    start_train,
    train,
    wait_for,
)

LANES: Changes = {"runtime__envs_per_rollout": 2, "steps": 300, "checkpoint__interval": 100}
ACTORS: Changes = {"runtime__kind": "actors", "runtime__rollout_actors": 3, "runtime__replay_shards": 2}
FORGETS_NOTHING: Changes = {"method": "static"}
BEFORE, NEWEST = "step_000000000200", "step_000000000300"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "run"
    train(path, **LANES)
    return path


@pytest.fixture
def unfinished(finished: Path, tmp_path: Path) -> Path:
    """The same run as if it had been killed after its last checkpoint."""
    path = tmp_path / "run"
    shutil.copytree(finished, path)
    for name in ("policy.safetensors", "result.json"):
        (path / name).unlink()
    return path


def exported(capsys: pytest.CaptureFixture[str], directory: Path, *arguments: object) -> dict[str, Any]:
    return succeeded(capsys, "export", directory, "--format", "parquet", *arguments)


def refusal(capsys: pytest.CaptureFixture[str], directory: Path, *arguments: object) -> str:
    return refused(capsys, "export", directory, "--format", "parquet", *arguments)


def check_same_transitions(file: Path, replay: Path, lanes: int) -> None:
    """Those that a run would go on with."""
    buffer = ReplayBuffer(4, 1, range(lanes), 10**6, np.random.default_rng(0))
    snapshot.load_lanes(buffer, replay, lambda lane: True)
    table = parquet.read_table(file).sort_by([("time", "ascending"), ("lane", "ascending")])
    observations, policy_actions, times = buffer.oldest(buffer.size)
    assert table["time"].to_pylist() == times.tolist()
    assert table["observation"].to_pylist() == observations.tolist()
    assert table["policy_action"].to_pylist() == policy_actions.tolist()


def check_episodes(table: pa.Table) -> None:
    """Within an episode one row leads to the next, and only its last one ends it."""
    episode = table["episode"].to_numpy()
    goes_on = np.append(np.diff(episode) == 0, False)
    observations, nexts = (np.stack(table[name].to_numpy()) for name in ("observation", "next_observation"))
    places = np.flatnonzero(goes_on)
    np.testing.assert_array_equal(nexts[places], observations[places + 1])
    ends = table["terminated"].to_numpy() | table["truncated"].to_numpy()
    assert not ends[goes_on].any()
    is_open = ~goes_on & ~ends
    lane = table["lane"].to_numpy()
    assert is_open.sum() <= len(np.unique(lane))
    assert np.all(np.diff(episode) >= 0)
    assert np.all(np.diff(table["time"].to_numpy())[goes_on[:-1]] > 0)


def test_replay_of_a_finished_run(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "folder" / "replay.parquet"
    content = exported(capsys, finished, "--out", file)
    table = parquet.read_table(file)
    assert content == {
        "path": str(file),
        "format": "parquet",
        "env_id": "InvertedPendulum-v5",
        "algo": "td3",
        "method": "rlx2",
        "seed": 0,
        "engine": "sparse",
        "runtime": "inline",
        "transitions": table.num_rows,
        "episodes": len(table["episode"].unique()),
        "bytes": file.stat().st_size,
        "env_steps": 300,
        "checkpoint": str(finished / "checkpoints" / NEWEST),
    }
    assert content["transitions"] > 100
    check_episodes(table)
    check_same_transitions(file, finished / "checkpoints" / NEWEST / "replay", lanes=2)


def test_file_says_what_it_is_of(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(capsys, finished, "--out", tmp_path / "replay.parquet")
    metadata = json.loads(parquet.read_schema(tmp_path / "replay.parquet").metadata[b"rlx2"])
    assert metadata.pop("versions")["rlx2_ray"] == __version__
    assert metadata == {
        "env_id": "InvertedPendulum-v5",
        "env_kwargs": {},
        "algo": "td3",
        "method": "rlx2",
        "seed": 0,
        "engine": "sparse",
        "runtime": "inline",
        "config_hash": resolve(load(finished / "config.yaml")).hash,
        "action_low": [-3.0],
        "action_high": [3.0],
        "action_scaling": "environment's action = action_low + (action + 1) / 2 * (action_high - action_low)",
        "checkpoint": NEWEST,
    }


def test_unfinished_run_gives_the_same_beside_its_checkpoints(
    unfinished: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(capsys, finished, "--out", tmp_path / "finished.parquet")
    content = exported(capsys, unfinished)
    assert content["path"] == str(unfinished / "replay.parquet")
    assert (unfinished / "replay.parquet").read_bytes() == (tmp_path / "finished.parquet").read_bytes()


@pytest.mark.parametrize("part", ["arrays.safetensors", "replay/index.json", "replay/lane1-segment000000.arrow"])
def test_damaged_checkpoint_is_named_and_the_one_before_is_used(
    part: str, unfinished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = unfinished / "checkpoints" / NEWEST
    flip_byte(newest / part)
    assert run(["export", str(unfinished), "--format", "parquet", "--json"]) == 0
    output, error = capsys.readouterr()
    assert error.startswith(f"The checkpoint {newest} is damaged (")
    assert error.count("\n") == 1
    assert json.loads(output)["checkpoint"] == str(newest.with_name(BEFORE))
    check_same_transitions(unfinished / "replay.parquet", newest.with_name(BEFORE) / "replay", lanes=2)


def test_run_without_a_good_checkpoint_fails(unfinished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (BEFORE, NEWEST):
        flip_byte(unfinished / "checkpoints" / name / "values.json")
    assert run(["export", str(unfinished), "--format", "parquet"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" is damaged")[0][-4:] for line in lines[:-1]] == ["0300", "0200"]
    assert lines[-1].startswith(f"rlx2: No checkpoint in {unfinished}/checkpoints can be read")
    assert not list(unfinished.glob("*.parquet*"))


def test_run_without_a_checkpoint_yet_is_refused(unfinished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(unfinished / "checkpoints")
    assert f"{unfinished} has no checkpoint yet" in refusal(capsys, unfinished)


@pytest.mark.parametrize(
    ("out", "reason"), [("file/replay.parquet", "File exists"), ("folder", "it is no regular file")]
)
def test_file_that_cannot_be_written_is_refused(
    out: str, reason: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    error = refusal(capsys, finished, "--out", tmp_path / out)
    assert f"{tmp_path / out} cannot be written ({reason}" in error
    assert "--out" in error
    assert list((tmp_path / "folder").iterdir()) == []


def test_people_get_a_sentence(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "replay.parquet"
    assert run(["export", str(finished), "--format", "parquet", "--out", str(file)]) == 0
    output, _ = capsys.readouterr()
    assert output.startswith(f"{file}: {parquet.read_table(file).num_rows} transitions in ")
    assert output.endswith(" episodes of InvertedPendulum-v5, 0.0 MB\n")


def test_running_run_is_exported_from_what_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "run"
    often: Changes = {"checkpoint__interval": 10, "checkpoint__keep": 1, "evaluation__interval": 10**6}
    with ended(start_train(directory, steps=10**6, **FORGETS_NOTHING, **often)) as process:
        wait_for(lambda: list(directory.glob("checkpoints/step_*")), process)
        contents = [exported(capsys, directory, "--out", tmp_path / f"{number}.parquet") for number in range(5)]
        assert process.poll() is None
    for content in contents:
        table = parquet.read_table(content["path"])
        assert table["time"].to_pylist() == list(range(content["env_steps"]))
        check_episodes(table)


def test_checkpoints_that_a_running_run_removes_are_not_called_damaged(
    unfinished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = unfinished / "checkpoints"
    newer = root / "step_000000000400"
    read_segment = module.read_segment

    def read_after_the_run_has_gone_on(*segment: Any) -> Columns:
        if not newer.exists():
            (root / NEWEST).rename(newer)
            alter_values(newer, lambda values: values.update(env_steps=400))
            shutil.rmtree(root / BEFORE)
        return read_segment(*segment)

    monkeypatch.setattr(module, "read_segment", read_after_the_run_has_gone_on)
    assert exported(capsys, unfinished)["checkpoint"] == str(newer)


def test_shards_of_a_run_on_actors_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lane l on shard l % 2, as `ShardedReplay` saves them."""
    directory, config = RunDirectory(tmp_path / "run"), small_config(**ACTORS)
    with closing(directory):
        directory.create(config, Tracking("sqlite://", "tests"))
    source = FragmentSource(4, 1)

    def save_replay(folder: Path, previous: Path | None) -> None:
        for shard in range(2):
            buffer = ReplayBuffer(4, 1, range(shard, 3, 2), 10**6, np.random.default_rng(0))
            for lane in buffer.lanes:
                buffer.insert(source.make(5 + lane, "terminated", lane))
            snapshot.save(buffer, folder / f"shard{shard}", previous)

    arrays, learner = make_learner(config, Spaces(4, 1, (-3.0,), (3.0,))).state()
    values = {"learner": learner, "env_steps": 18, "time": 18, "generation": 0, "faults": {}, "metrics": {}}
    values |= {"policy_distance": None, "checked": 0, "wall_s": 1.0, "training_s": 1.0}
    save_checkpoint(directory.checkpoints, 18, arrays, values, save_replay, keep=2)
    content = exported(capsys, directory.path)
    assert (content["transitions"], content["episodes"], content["runtime"]) == (18, 3, "actors")
    assert parquet.read_table(content["path"])["lane"].to_pylist() == [0] * 5 + [1] * 6 + [2] * 7


@pytest.mark.slow
def test_run_on_actors_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--out", "run", *small_arguments(steps=400, **FORGETS_NOTHING, **ACTORS)]
    process = rlx2("train", *arguments, folder=tmp_path)
    assert process.returncode == 0, process.stderr
    content = exported(capsys, tmp_path / "run")
    table = parquet.read_table(content["path"])
    assert content["transitions"] == table.num_rows > 300
    assert table["lane"].unique().to_pylist() == [0, 1, 2]
    check_episodes(table)
    check_same_transitions(Path(content["path"]), Path(content["checkpoint"]) / "replay", lanes=3)
