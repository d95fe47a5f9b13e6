"""A run on actors goes on with other numbers of them; nothing else of a run can be changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.tracking import consent
from rlx2_ray.types import BadInput
from tests.distributed.test_actors import LONG, LONG_POINTS, points_there
from tests.support.runs import ended, evaluated_steps, read_points, rlx2, small_config, start_train, wait_for


@pytest.mark.slow
def test_run_goes_on_with_more_shards_and_fewer_rollouts(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start_train(directory, **LONG | {"runtime.envs_per_rollout": 2})) as process:
        wait_for(points_there(directory, 4), process)
        process.terminate()
        process.communicate(timeout=60)
    stored = read_points(directory)[-1]["replay/size"]
    resumed = rlx2("resume", str(directory), "--rollout-actors", "3", "--replay-shards", "5", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert evaluated_steps(directory) == LONG_POINTS
    following = next(point for point in read_points(directory)[4:])
    assert following["replay/size"] > 0.8 * stored, "the replay was taken over"
    shards = sorted(path.name for path in Path(result(directory)["checkpoint"], "replay").iterdir())
    assert shards == [f"shard{shard}" for shard in range(5)]


def result(directory: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((directory / "result.json").read_text())
    return read


def made_run(directory: Path, **changes: Any) -> Path:
    """A run that was killed as soon as it had begun."""
    run, store = RunDirectory(directory), f"sqlite:///{directory.parent}/mlflow.db"
    run.create(small_config(**changes), Tracking(store, "tests"))
    consent.agree(store)
    run.close()
    return directory


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed is fixed for a run that has begun"),
        ({"runtime": {"rollout_actors": 2}, "agent": {"tau": 0.1}}, "agent.tau is fixed"),
        ({"runtime": {"kind": "inline"}}, "runtime.kind is fixed"),
        ({"runtime": {"replay_shards": 3}}, "runtime.replay_shards is 3 but there are 2 environments"),
        ({"runtime": {"replay_shards": 0}}, "runtime.replay_shards is 0"),
        ({"runtime": {"shards": 2}}, "There is no key runtime.shards"),
    ],
)
def test_other_changes_are_refused_and_change_nothing(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    directory = made_run(tmp_path / "run", runtime__kind="actors", runtime__rollout_actors=2)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(BadInput) as refusal:
        session.resume(directory, train_on_runtime, changes)
    assert words in str(refusal.value)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_inline_run_has_no_actors_to_change(tmp_path: Path) -> None:
    process = rlx2("resume", str(made_run(tmp_path / "run")), "--replay-shards", "2", folder=tmp_path)
    assert process.returncode == 2
    assert process.stderr == (
        "rlx2: runtime.replay_shards belongs to runs on actors, and this one is inline: leave it out.\n"
    )


def test_changes_are_kept_for_the_next_life(tmp_path: Path) -> None:
    run = RunDirectory(made_run(tmp_path / "run", runtime__kind="actors"))
    run.change({"runtime": {"rollout_actors": 4}})
    run.change({"runtime": {"replay_shards": 3}})
    config, _ = run.open()
    assert (config.runtime.rollout_actors, config.runtime.replay_shards) == (4, 3)
