"""How a run begins, ends and goes on: its status in MLflow, its exit code, and what is left on disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from rlx2_ray.cli.main import run
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.experiment import session
from rlx2_ray.files import sha256_of
from rlx2_ray.runs.checkpoint import ARRAYS
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.types import BadInput, Interrupted, RunFailed
from tests.support.runs import (
    checkpoint_names,
    database_uri,
    ended,
    evaluated_steps,
    flip_byte,
    metric_histories,
    read_points,
    resume,
    rlx2,
    small_config,
    start_train,
    tracked_run,
    train,
    wait_for,
)
from tests.support.strange_envs import MODULE


def strange(name: str, **kwargs: Any) -> dict[str, Any]:
    """Changes that choose a strange environment."""
    return {"env__id": f"{MODULE}:{name}-v0", "env__kwargs": kwargs, "steps": 500}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("what", "value"), [("observation", "nan as observation[1]"), ("reward", "inf as reward")])
def test_environment_that_returns_what_is_not_finite_fails_the_run(what: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as failure:
        train(tmp_path / "run", **strange("Broken", what=what, step=300))
    assert value in str(failure.value)
    assert "env step 300" in str(failure.value)
    assert "\n" not in str(failure.value)
    assert checkpoint_names(tmp_path / "run")[-1] == "step_000000000299"
    assert tracked_run(tmp_path / "run").info.status == "FAILED"
    assert not (tmp_path / "run" / "result.json").exists()


def test_failed_run_goes_on_once_its_environment_works(tmp_path: Path) -> None:
    broken = strange("Broken", step=300)  # a new instance gets 300 steps farther
    with pytest.raises(RunFailed):
        train(tmp_path / "run", **broken)
    assert resume(tmp_path / "run")["env_steps"] == 500
    assert evaluated_steps(tmp_path / "run") == [100, 200, 300, 400, 500]
    assert tracked_run(tmp_path / "run").info.status == "FINISHED"


def test_reset_that_is_not_finite_fails_the_run_at_its_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = strange("Broken", reset=26) | {"steps": 450}  # the 26th training episode would begin at step 250
    with pytest.raises(RunFailed, match=r"nan as observation\[0\] .*, at env step 250"):
        train(tmp_path / "run", **broken)
    assert checkpoint_names(tmp_path / "run")[-1] == "step_000000000249"
    assert resume(tmp_path / "run")["env_steps"] == 450
    assert "did not repeat" not in capsys.readouterr().err


def test_first_reset_that_is_not_finite_is_a_failure_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"nan as observation\[0\]"):
        train(tmp_path / "run", **strange("Broken", reset=1))
    assert tracked_run(tmp_path / "run").info.status == "FAILED"


def test_failure_in_an_evaluation_names_the_episode(tmp_path: Path) -> None:
    # Every evaluation has one episode of 10 steps, so this is the fourth in a life of the process, at step 400.
    with pytest.raises(RunFailed, match=r"At env step 400: .*evaluation episode 400"):
        train(tmp_path / "run", **strange("Broken", step=35), agent__warmup_steps=450, runtime__envs_per_rollout=20)
    assert checkpoint_names(tmp_path / "run")[-1] == "step_000000000400"
    assert tracked_run(tmp_path / "run").info.status == "FAILED"
    resume(tmp_path / "run")  # no life has a fourth one now
    assert evaluated_steps(tmp_path / "run") == [100, 200, 300, 400, 500]


def test_interrupted_run_is_checkpointed_marked_killed_and_resumes_to_the_bit(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="rlx2 resume"):
        train(tmp_path / "run", **strange("Interrupting", step=300))
    assert checkpoint_names(tmp_path / "run")[-1] == "step_000000000300"
    assert tracked_run(tmp_path / "run").info.status == "KILLED"

    resumed = resume(tmp_path / "run")
    undisturbed = train(tmp_path / "undisturbed", **strange("Drift"))
    assert resumed["policy_digest"] == undisturbed["policy_digest"]
    assert resumed["evaluations"] == undisturbed["evaluations"]


def test_environment_that_cannot_repeat_its_episode_is_said_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path / "run", **strange("Forgetful", step=305))
    assert resume(tmp_path / "run")["env_steps"] == 500
    assert "did not repeat its episode" in capsys.readouterr().err


def test_ctrl_c_ends_the_process_with_130_and_a_run_that_resumes(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start_train(directory, steps=1500)) as process:
        wait_for(lambda: read_points(directory), process)
        os.killpg(process.pid, signal.SIGINT)
        output, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert f"rlx2 resume {directory}" in error.splitlines()[-1]
    assert output == ""
    assert checkpoint_names(directory)
    assert tracked_run(directory).info.status == "KILLED"

    assert run(["resume", str(directory)]) == 0
    assert evaluated_steps(directory) == list(range(100, 1501, 100))
    assert len(metric_histories(directory)["evaluation/return_mean"]) == 15
    assert tracked_run(directory).info.status == "FINISHED"


@pytest.mark.slow
def test_termination_signal_is_like_ctrl_c(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start_train(directory, steps=1500)) as process:
        wait_for(lambda: read_points(directory), process)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert tracked_run(directory).info.status == "KILLED"


def test_resume_of_a_finished_run_gives_its_result_and_changes_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    result = train(directory, steps=200)
    before = files(tmp_path)
    assert resume(directory) == result
    assert files(tmp_path) == before


def test_run_in_use_is_refused_to_another_process(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.create(small_config(), Tracking(database_uri(tmp_path), "tests"))  # this process works on it
    process = rlx2("resume", str(directory.path), folder=tmp_path)
    directory.close()
    assert process.returncode == 2
    assert process.stderr == f"rlx2: {directory.path} is in use by another process: wait for it or stop it.\n"


def test_two_runs_cannot_begin_in_one_directory(tmp_path: Path) -> None:
    train(tmp_path / "run", steps=200)
    with pytest.raises(BadInput, match="already holds a run"):
        train(tmp_path / "run", steps=200)


def test_directory_is_free_again_after_a_run_in_this_process(tmp_path: Path) -> None:
    train(tmp_path / "run", steps=200)
    directory = RunDirectory(tmp_path / "run")
    directory.lock()
    directory.close()


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(tmp_path / "run", steps=200)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_the_store_missed_is_delivered_by_resume(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.write_text("a file stands where the folder of the database should be")
    uri = f"sqlite:///{folder}/mlflow.db"
    missed = session.start(small_config(steps=300), tmp_path / "run", Tracking(uri, "tests"), train_on_runtime)
    assert missed["mlflow_run_id"] is None
    folder.unlink()
    delivered = resume(tmp_path / "run")
    assert {**delivered, "mlflow_run_id": None} == missed
    shutil.move(folder / "mlflow.db", tmp_path / "mlflow.db")  # where the helpers look
    assert tracked_run(tmp_path / "run").info.status == "FINISHED"
    assert [step for step, _ in metric_histories(tmp_path / "run")["evaluation/return_mean"]] == [100, 200, 300]
    assert resume(tmp_path / "run") == delivered  # nothing is left to deliver


def interrupted(folder: Path) -> Path:
    """A run of 500 steps with an evaluation each 100, which stopped at 300."""
    with pytest.raises(Interrupted):
        train(folder / "run", **strange("Interrupting", step=300))
    return folder / "run"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda lines: [], id="all lines lost"),
        pytest.param(lambda lines: lines[1:], id="the first lost"),
        pytest.param(lambda lines: lines[:-1], id="the last lost"),
        pytest.param(lambda lines: [lines[1].replace('"return_mean": ', '"return_mean": 9'), *lines[1:]], id="altered"),
        pytest.param(lambda lines: ["{", *lines[1:]], id="damaged"),
    ],
)
def test_points_that_were_lost_come_back_from_the_checkpoint(
    damage: Callable[[list[str]], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that no score is that of what is left."""
    run = interrupted(tmp_path)
    before, file = read_points(run), run / "progress.jsonl"
    file.write_text("".join(f"{line}\n" for line in damage(file.read_text().splitlines())))
    resumed = resume(run)
    undisturbed = train(tmp_path / "undisturbed", **strange("Drift"))
    assert (resumed["score"], resumed["evaluations"]) == (undisturbed["score"], undisturbed["evaluations"])
    assert read_points(run)[: len(before)] == before
    said = f"{file} lacked evaluations or had been changed: those up to env step 300 are taken from step_000000000300."
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("damage", [Path.unlink, flip_byte, lambda file: file.write_bytes(b"")])
def test_best_policy_comes_back_from_the_checkpoint(damage: Callable[[Path], object], tmp_path: Path) -> None:
    run = interrupted(tmp_path)
    damage(run / "best_policy.safetensors")
    resumed = resume(run)
    undisturbed = train(tmp_path / "undisturbed", **strange("Drift"))
    assert resumed["deployed"] == undisturbed["deployed"]
    assert resumed["deployed"] is not None


def test_checkpoint_of_an_earlier_version_has_no_points_and_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = interrupted(tmp_path)
    (newest,) = [path for path in (run / "checkpoints").iterdir() if path.name == "step_000000000300"]
    values = json.loads((newest / "values.json").read_text())
    del values["points"], values["best_policy"]
    (newest / "values.json").write_text(json.dumps(values))
    arrays = {name: array for name, array in load_file(newest / ARRAYS).items() if not name.startswith("best_policy.")}
    save_file(arrays, newest / ARRAYS)
    checksums = json.loads((newest / "checksums.json").read_text())
    checksums |= {name: sha256_of(newest / name) for name in ("values.json", ARRAYS)}
    (newest / "checksums.json").write_text(json.dumps(checksums))
    resume(run)
    assert evaluated_steps(run) == [100, 200, 300, 400, 500]
    said = capsys.readouterr().err
    assert "lacked" not in said
    assert "damaged" not in said


@pytest.mark.parametrize("changes", [{"nonsense": 3}, {"runtime": {"rollout_actors": 2}}, {"seed": 1}])
def test_finished_run_takes_no_changes_and_says_so(changes: dict[str, Any], tmp_path: Path) -> None:
    train(tmp_path / "run", steps=300)
    with pytest.raises(BadInput, match=rf"^{next(iter(changes))}.* changes nothing in .*run, which has ended: leave"):
        session.resume(tmp_path / "run", train_on_runtime, changes)


def test_points_that_a_finished_run_lost_are_not_delivered_as_all(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, steps=300)
    RunDirectory(run).mark_undelivered()
    file = run / "progress.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[1:]))
    before = file.read_bytes()
    with pytest.raises(BadInput, match=r"other evaluations in result\.json than in progress\.jsonl"):
        resume(run)
    assert file.read_bytes() == before
