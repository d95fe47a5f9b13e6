"""The actors runtime on a real Ray: the same outcome as inline, clean, and resumable. Deaths: `test_faults`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest

from rlx2_ray.config import load, resolve
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.runs.checkpoint import read_checkpoint
from tests.support.checkpoints import form_of, newest
from tests.support.runs import (
    Changes,
    check_gone,
    checkpoint_names,
    ended,
    environment,
    evaluated_steps,
    family,
    metric_histories,
    points_there,
    read_points,
    resume,
    resume_and_check,
    rlx2,
    said,
    small_config,
    start_train,
    tracked_run,
    train,
    wait_for,
)
from tests.support.strange_envs import MODULE

ACTORS: Changes = {
    "runtime.kind": "actors",
    "runtime.rollout_actors": 2,
    "runtime.replay_shards": 2,
    "agent.warmup_steps": 200,
    "evaluation.interval": 400,
    "checkpoint.interval": 300,
    "steps": 1190,
}
POINTS = [400, 800, 1190]
LONG: Changes = ACTORS | {"steps": 6000, "evaluation.interval": 500, "checkpoint.interval": 800}
LONG_POINTS = list(range(500, 6001, 500))
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


class Watched(NamedTuple):
    """A run that has ended, and what was seen of its processes."""

    directory: Path
    output: str
    error: str
    processes: set[psutil.Process]
    listeners: set[tuple[str, int]]


def listeners(processes: set[psutil.Process]) -> set[tuple[str, int]]:
    """Addresses on which any of them listens."""
    pids = {process.pid for process in processes}
    connections = psutil.net_connections("inet")
    return {tuple(each.laddr) for each in connections if each.pid in pids and each.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    directory = tmp_path_factory.mktemp("actors") / "run"
    processes: set[psutil.Process] = set()
    addresses: set[tuple[str, int]] = set()
    with ended(start_train(directory, **ACTORS)) as process:
        while process.poll() is None:
            now = family(process)
            processes |= now
            addresses |= listeners(now)
            time.sleep(0.5)
        output, error = process.communicate()
    assert process.returncode == 0, error
    return Watched(directory, output, error, processes, addresses)


def test_run_has_exactly_its_env_steps_and_planned_updates(finished: Watched) -> None:
    result = json.loads((finished.directory / "result.json").read_text())
    config = resolve(load(finished.directory / "config.yaml"))
    assert result["env_steps"] == config.steps == 1190
    assert result["learner_steps"] == config.planned_updates == 990
    assert (result["runtime"], config.hash) == ("actors", small_config(**ACTORS).hash)


def test_evaluations_are_at_every_multiple_of_the_interval_and_the_end_in_order(finished: Watched) -> None:
    assert evaluated_steps(finished.directory) == POINTS
    result = json.loads((finished.directory / "result.json").read_text())
    assert [point["env_steps"] for point in result["evaluations"]] == POINTS


def test_evaluation_sees_the_policy_after_the_updates_that_were_due(finished: Watched) -> None:
    for point in read_points(finished.directory):
        assert point["env_steps"] - 200 <= point["learner_steps"] <= point["env_steps"] - 200 + 300


def test_every_part_of_rlx2_is_at_work(finished: Watched) -> None:
    points = read_points(finished.directory)
    assert points[-1]["replay/size"] < 1190, "the replay was shrunk"
    assert min(point["topology/policy_overlap"] for point in points) < 1, "weights were moved"


def test_files_keys_and_metrics_are_those_of_an_inline_run(finished: Watched, tmp_path: Path) -> None:
    inline = train(tmp_path / "run", steps=200)
    directory = finished.directory
    assert json.loads((directory / "result.json").read_text()).keys() == inline.keys()
    assert sorted(path.name for path in directory.iterdir()) == sorted(
        path.name for path in (tmp_path / "run").iterdir()
    )
    own = {"actors/update_us", "actors/batch_us", "actors/updates_undone"}
    assert read_points(directory)[-1].keys() == read_points(tmp_path / "run")[-1].keys() | own
    assert metric_histories(directory).keys() == metric_histories(tmp_path / "run").keys() | own
    assert tracked_run(directory).data.params.keys() == tracked_run(tmp_path / "run").data.params.keys()


def test_finished_run_is_finished_in_mlflow(finished: Watched) -> None:
    assert tracked_run(finished.directory).info.status == "FINISHED"
    histories = metric_histories(finished.directory)
    assert [step for step, _ in histories["evaluation/return_mean"]] == POINTS


def test_nothing_listens_beyond_loopback(finished: Watched) -> None:
    assert len(finished.listeners) > 2, "the test saw Ray's servers"
    assert [address for address in finished.listeners if address[0] not in LOOPBACK] == []


@pytest.mark.slow
def test_nothing_listens_beyond_loopback_even_if_ray_was_imported_before(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "import ray\n"
        "from rlx2_ray.distributed.cluster import own_ray\n"
        "with own_ray(1):\n"
        "    ray.get(ray.remote(lambda: 7).remote())\n"
        "    print('ready', file=sys.stderr, flush=True)\n"
        "    input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ended(process):
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        addresses = listeners(family(process))
        process.communicate("done\n")
    assert len(addresses) > 2
    assert [address for address in addresses if address[0] not in LOOPBACK] == []


def test_no_process_is_left_behind(finished: Watched) -> None:
    names = {process.pid for process in finished.processes}
    assert len(names) >= 8, "the test saw Ray's servers, 2 rollouts, 2 shards, learner, evaluator"
    check_gone(finished.processes, seconds=10)


def test_output_is_free_of_ray_s_own_words(finished: Watched) -> None:
    assert said(finished.error) == []


def test_policy_of_an_actors_run_is_played(finished: Watched) -> None:
    process = rlx2("evaluate", str(finished.directory), "--episodes", "1", "--json", folder=finished.directory.parent)
    result = json.loads((finished.directory / "result.json").read_text())
    assert json.loads(process.stdout.splitlines()[-1])["policy_digest"] == result["policy_digest"]


@pytest.mark.slow
def test_run_whose_driver_was_killed_resumes_with_every_point_once(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start_train(directory, **LONG)) as process:
        wait_for(points_there(directory, 5), process)
        processes = family(process)
        process.kill()
        process.wait()
        check_gone(processes)
    newest = int(checkpoint_names(directory)[-1].removeprefix("step_"))
    assert 800 <= newest < 6000
    result = resume_and_check(directory, LONG_POINTS)
    assert (result["env_steps"], result["learner_steps"]) == (6000, 5800)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "send"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)])
def test_asked_to_stop_a_run_checkpoints_and_resumes(
    number: signal.Signals, send: Callable[[int, int], None], tmp_path: Path
) -> None:
    """Ctrl-C goes to every process of the terminal's group, the actors among them; SIGTERM to the one process."""
    directory = tmp_path / "run"
    with ended(start_train(directory, **LONG)) as process:
        wait_for(points_there(directory, 2), process)
        processes = family(process)
        send(process.pid, number)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert tracked_run(directory).info.status == "KILLED"
    check_gone(processes)
    newest = int(checkpoint_names(directory)[-1].removeprefix("step_"))
    assert newest >= evaluated_steps(directory)[-1]
    resume_and_check(directory, LONG_POINTS)


@pytest.mark.slow
@pytest.mark.parametrize(("what", "value"), [("observation", "nan as observation[1]"), ("reward", "inf as reward")])
def test_environment_that_returns_what_is_not_finite_fails_the_run(what: str, value: str, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    # So few that after the failure no rollout can take 500 env steps again, however they are shared out.
    broken = {"env.id": f"{MODULE}:Broken-v0", "env.kwargs": {"what": what, "step": 500}, "steps": 1050}
    with ended(start_train(directory, **ACTORS | broken | {"evaluation.interval": 300})) as process:
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    words = said(error)
    assert len(words) == 1, error
    assert value in words[0]
    assert " at env step " in words[0]
    newest = int(checkpoint_names(directory)[-1].removeprefix("step_"))
    assert newest > 500, "what the other actors had done was saved"
    assert tracked_run(directory).info.status == "FAILED"
    resume_and_check(directory, [300, 600, 900, 1050])


@pytest.mark.slow
@pytest.mark.parametrize(("algo", "engine"), [("td3", "sparse"), ("sac", "sparse"), ("td3", "torch")])
def test_more_lanes_than_shards_and_other_learners(algo: str, engine: str, tmp_path: Path) -> None:
    more = {"runtime.envs_per_rollout": 2, "runtime.replay_shards": 3}
    changes = ACTORS | {"algo": algo, "engine": engine} | more
    with ended(start_train(tmp_path / "run", **changes)) as process:
        _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert evaluated_steps(tmp_path / "run") == POINTS


@pytest.mark.slow
def test_damaged_checkpoint_of_one_shard_is_passed_over(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start_train(directory, **LONG)) as process:
        wait_for(points_there(directory, 5), process)
    newest = directory / "checkpoints" / checkpoint_names(directory)[-1]
    (newest / "replay" / "shard1" / "index.json").unlink()
    process_again = rlx2("resume", str(directory), folder=tmp_path)
    assert process_again.returncode == 0, process_again.stderr
    assert [line for line in process_again.stderr.splitlines() if str(newest) in line and "damaged" in line]
    assert evaluated_steps(directory) == LONG_POINTS


@pytest.mark.slow
def test_rare_evaluations_come_before_those_that_are_scored(tmp_path: Path) -> None:
    rare: Changes = {"evaluation.interval": 100, "evaluation.early_interval": 400, "evaluation.score_window": 3}
    result = train(tmp_path / "run", **ACTORS | rare)
    assert evaluated_steps(tmp_path / "run") == [400, 800, 1000, 1100, 1190]
    assert result["score_window"] == 3
    assert result["score"] == pytest.approx(sum(each["return_mean"] for each in result["evaluations"][-3:]) / 3)
    assert 0 < result["evaluation_s"] < result["wall_s"]


@pytest.mark.slow
def test_normalised_observations_outlive_a_stop(tmp_path: Path) -> None:
    actors = {"runtime__kind": "actors", "runtime__rollout_actors": 2, "agent__normalize_observations": True}
    train(tmp_path / "run", **actors)
    whole = read_checkpoint(newest(tmp_path / "run"), form_of(tmp_path / "run"))
    taken = whole.values["learner"]["observed"]
    assert taken == whole.values["time"] == 600
    policy = load_policy(tmp_path / "run" / "policy.safetensors")
    assert policy.normalization is not None
    assert np.abs(policy.normalization.mean - whole.arrays["observed.mean"]).max() < 0.2

    shutil.rmtree(newest(tmp_path / "run"))
    for name in ("result.json", "policy.safetensors"):
        (tmp_path / "run" / name).unlink()
    before = read_checkpoint(newest(tmp_path / "run"), form_of(tmp_path / "run")).values["learner"]["observed"]
    assert 0 < before < taken
    resume(tmp_path / "run")
    again = read_checkpoint(newest(tmp_path / "run"), form_of(tmp_path / "run"))
    assert again.values["learner"]["observed"] == taken
