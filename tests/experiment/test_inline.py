"""The inline runtime: the same to the bit when repeated, and when killed and resumed."""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.config import EnvConfig
from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.experiment.evaluation import STREAM, evaluate
from rlx2_ray.experiment.playback import playable
from rlx2_ray.export import c_export
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.quantize import rounded
from rlx2_ray.footprint.tables import bytes_of
from rlx2_ray.networks.policy_file import load_policy, policy_digest
from rlx2_ray.types import RunFailed
from tests.support.runs import (
    SMALL,
    Changes,
    checkpoint_names,
    copy_run,
    ended,
    evaluated_steps,
    flip_byte,
    metric_histories,
    read_points,
    resume,
    small_config,
    start_train,
    tracked_run,
    train,
    wait_for,
)
from tests.support.strange_envs import MODULE

ALL_POINTS = [100, 200, 300, 400, 500, 600]
DYING = f"{MODULE}:Dying-v0"  # a killed process is killed at env step 405
VARIANTS: dict[str, Changes] = {
    "td3": {"algo": "td3", "env.id": DYING, "env.kwargs": {"step": 405}},
    "sac, two lanes": {"algo": "sac", "env.id": DYING, "env.kwargs": {"step": 203}, "runtime.envs_per_rollout": 2},
    "nearly dense": {  # so that layers go to BLAS
        **{"algo": "td3", "env.id": DYING, "env.kwargs": {"step": 405}},
        **{"network.hidden": [40, 40], "sparsity.policy": 0.2, "sparsity.critic": 0.2},
    },
    "td3 on torch": {"algo": "td3", "engine": "torch", "env.id": DYING, "env.kwargs": {"step": 405}},
}
Runs = Callable[[str], Any]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The directory of a whole run of a variant, made once."""
    made: dict[str, Path] = {}

    def directory(variant: str) -> Path:
        if variant not in made:
            made[variant] = tmp_path_factory.mktemp("undisturbed") / "run"
            train(made[variant], **VARIANTS[variant])
        return made[variant]

    return directory


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A copy of a run of a variant that was killed after its fourth point, past the checkpoint of step 340."""
    made: dict[str, Path] = {}

    def directory(variant: str) -> Path:
        if variant not in made:
            made[variant] = tmp_path_factory.mktemp("killed") / "run"
            with ended(start_train(made[variant], **VARIANTS[variant])) as process:
                _, error = process.communicate()
            assert process.returncode == -signal.SIGKILL, error
        return copy_run(made[variant], tmp_path_factory.mktemp("copy"))

    return directory


SLOW_BUT_ONE = {True: (), False: (pytest.mark.slow,)}


def result_of(directory: Path) -> dict[str, Any]:
    return resume(directory)  # of a finished run, only reads it


@pytest.mark.slow  # as the test of the killed run says, too
@pytest.mark.parametrize("variant", VARIANTS)
def test_same_seed_gives_the_same_policy_and_evaluations(variant: str, undisturbed: Runs, tmp_path: Path) -> None:
    first = result_of(undisturbed(variant))
    second = train(tmp_path / "run", **VARIANTS[variant])
    assert second["policy_digest"] == first["policy_digest"]
    assert second["evaluations"] == first["evaluations"]


def test_engines_train_alike_but_not_to_the_bit(undisturbed: Runs) -> None:
    sparse, torch = result_of(undisturbed("td3")), result_of(undisturbed("td3 on torch"))
    assert (sparse["engine"], torch["engine"]) == ("sparse", "torch")
    figures = ("env_steps", "learner_steps", "active_weights", "size_ratio", "train_flops_ratio_counted")
    assert [sparse[figure] for figure in figures] == [torch[figure] for figure in figures]
    first_losses = (read_points(undisturbed(variant))[1]["train/critic_loss"] for variant in ("td3", "td3 on torch"))
    assert next(first_losses) == pytest.approx(next(first_losses), rel=1e-3)


@pytest.mark.parametrize("variant", ["sac, two lanes", "td3 on torch"])
def test_bytes_are_those_of_the_export(variant: str, undisturbed: Runs, tmp_path: Path) -> None:
    result, policy = result_of(undisturbed(variant)), load_policy(undisturbed(variant) / "policy.safetensors")
    told = c_export.write(policy, tmp_path / "policy.c", None)
    assert result["policy_c_bytes"] == told["table_bytes"]
    network = rounded(compact(policy.layers, policy.spaces.action_size), np.int8)
    assert result["policy_c_bytes_int8"] == bytes_of(network, np.int8) < told["table_bytes"]


@pytest.mark.parametrize("variant", [pytest.param(each, marks=SLOW_BUT_ONE[each == "td3"]) for each in VARIANTS])
def test_another_seed_gives_another_policy(variant: str, undisturbed: Runs, tmp_path: Path) -> None:
    other = train(tmp_path / "run", seed=1, **VARIANTS[variant])
    assert other["policy_digest"] != result_of(undisturbed(variant))["policy_digest"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_three_parts_of_rlx2_are_at_work_in_these_runs(variant: str, undisturbed: Runs) -> None:
    points = read_points(undisturbed(variant))
    assert points[-1]["replay/size"] < points[-1]["env_steps"], "the replay was shrunk"
    assert min(point["topology/policy_overlap"] for point in points) < 1, "weights were moved"
    assert points[-1]["learner_steps"] == 500 > SMALL["target.n_step_start"], "the target became n-step"


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_run_resumes_to_the_undisturbed_policy(variant: str, undisturbed: Runs, killed: Runs) -> None:
    directory, expected = killed(variant), result_of(undisturbed(variant))
    assert checkpoint_names(directory) == ["step_000000000170", "step_000000000340"]
    assert evaluated_steps(directory) == [100, 200, 300, 400], "the last must be measured again"
    result = resume(directory)
    assert result["policy_digest"] == expected["policy_digest"]
    assert result["evaluations"] == expected["evaluations"]
    assert result["score"] == expected["score"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_best_policy_is_that_of_the_best_evaluation(variant: str, undisturbed: Runs, killed: Runs) -> None:
    directory = undisturbed(variant)
    policy = load_policy(directory / "best_policy.safetensors")
    trained = [point for point in read_points(directory) if point["learner_steps"]]
    best = max(trained, key=lambda point: (point["return_mean"], point["env_steps"]))
    assert policy.about == {key: best[key] for key in ("env_steps", "learner_steps", "return_mean", "return_std")}
    config = small_config(**VARIANTS[variant])
    with closing(EnvLane(EnvConfig(id="InvertedPendulum-v5"), config.seed, STREAM)) as lane:
        episodes = config.evaluation.episodes
        again = evaluate(playable(policy).policy, lane, episodes, first_episode=policy.about["env_steps"])
    assert again.mean == best["return_mean"]
    resumed = killed(variant)
    resume(resumed)
    after = load_policy(resumed / "best_policy.safetensors")
    assert (policy_digest(after.layers), after.about) == (policy_digest(policy.layers), policy.about)


@pytest.mark.parametrize("variant", VARIANTS)
def test_resumed_run_has_every_point_once(variant: str, undisturbed: Runs, killed: Runs) -> None:
    directory = killed(variant)
    resume(directory)
    assert evaluated_steps(directory) == ALL_POINTS
    run, histories = tracked_run(directory), metric_histories(directory)
    assert run.info.status == "FINISHED"
    expected = metric_histories(undisturbed(variant))
    assert histories.keys() == expected.keys()
    for name, history in histories.items():
        assert [step for step, _ in history] == [step for step, _ in expected[name]]
        assert name.startswith("throughput/") or history == expected[name]
    assert [step for step, _ in histories["evaluation/return_mean"]] == ALL_POINTS


@pytest.mark.slow
def test_run_killed_from_outside_at_any_moment_resumes_to_the_undisturbed_policy(tmp_path: Path) -> None:
    directory, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    with ended(start_train(directory, steps=3000)) as process:
        wait_for(lambda: evaluated_steps(directory)[10:], process)
        process.kill()
    assert not (directory / "result.json").exists()
    assert resume(directory)["policy_digest"] == train(undisturbed, steps=3000)["policy_digest"]
    assert evaluated_steps(directory) == evaluated_steps(undisturbed) == list(range(100, 3001, 100))


def test_wall_clock_goes_on_where_the_checkpoint_left_it(killed: Runs) -> None:
    directory = killed("td3")
    spent = read_points(directory)[2]["wall_s"]  # at step 300, before the checkpoint of 340
    assert resume(directory)["wall_s"] > spent
    walls = [point["wall_s"] for point in read_points(directory)]
    assert all(earlier < later for earlier, later in itertools.pairwise(walls))


def test_run_killed_before_its_first_checkpoint_begins_anew(undisturbed: Runs, killed: Runs) -> None:
    directory = killed("td3")
    shutil.rmtree(directory / "checkpoints")
    result = resume(directory)
    assert result["policy_digest"] == result_of(undisturbed("td3"))["policy_digest"]
    assert evaluated_steps(directory) == ALL_POINTS
    assert len(metric_histories(directory)["evaluation/return_mean"]) == len(ALL_POINTS)
    assert tracked_run(directory).info.status == "FINISHED"


@pytest.mark.parametrize(
    "file",
    [
        "arrays.safetensors",
        "replay/*.arrow",
        pytest.param("values.json", marks=pytest.mark.slow),
        pytest.param("checksums.json", marks=pytest.mark.slow),
        pytest.param("replay/index.json", marks=pytest.mark.slow),
    ],
)
def test_damaged_checkpoint_is_named_and_the_one_before_it_used(
    file: str, undisturbed: Runs, killed: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = killed("td3")
    newest = directory / "checkpoints" / "step_000000000340"
    (damaged,) = newest.glob(file)
    flip_byte(damaged)
    result = resume(directory)
    error = capsys.readouterr().err
    assert [line for line in error.splitlines() if "damaged" in line and str(newest) in line and damaged.name in line]
    assert "step_000000000170 is damaged" not in error
    assert result["policy_digest"] == result_of(undisturbed("td3"))["policy_digest"]
    assert evaluated_steps(directory) == ALL_POINTS


@pytest.mark.parametrize("file", ["arrays.safetensors", "checksums.json", "replay/index.json"])
@pytest.mark.slow
def test_checkpoint_with_a_missing_file_is_passed_over(
    file: str, undisturbed: Runs, killed: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = killed("td3")
    newest = directory / "checkpoints" / "step_000000000340"
    (newest / file).unlink()
    assert resume(directory)["policy_digest"] == result_of(undisturbed("td3"))["policy_digest"]
    assert str(newest) in capsys.readouterr().err


def test_run_whose_checkpoints_are_all_damaged_is_not_begun_anew_unasked(undisturbed: Runs, killed: Runs) -> None:
    directory = killed("td3")
    points = (directory / "progress.jsonl").read_bytes()
    for arrays in directory.glob("checkpoints/*/arrays.safetensors"):
        flip_byte(arrays)
    with pytest.raises(RunFailed, match=r"No checkpoint in .* can be read"):
        resume(directory)
    assert (directory / "progress.jsonl").read_bytes() == points
    shutil.rmtree(directory / "checkpoints")
    assert resume(directory)["policy_digest"] == result_of(undisturbed("td3"))["policy_digest"]
    assert evaluated_steps(directory) == ALL_POINTS


def test_half_written_checkpoint_and_half_written_line_are_ignored(undisturbed: Runs, killed: Runs) -> None:
    directory = killed("td3")
    (directory / "checkpoints" / ".writing_000000000510").mkdir()
    with (directory / "progress.jsonl").open("a") as file:
        file.write('{"env_steps": 410, "return_me')
    assert resume(directory)["policy_digest"] == result_of(undisturbed("td3"))["policy_digest"]
    assert evaluated_steps(directory) == ALL_POINTS
    assert checkpoint_names(directory) == ["step_000000000510", "step_000000000600"]


@pytest.mark.parametrize("engine", ["sparse", "torch"])
@pytest.mark.parametrize("algo", ["td3", "sac"])
def test_training_that_diverges_fails_the_run_and_keeps_the_good_checkpoint(
    engine: str, algo: str, tmp_path: Path
) -> None:
    with pytest.raises(RunFailed, match=r"^policy\.0\.weights is not finite at env step 10[12]; .* is kept\.$"):
        train(tmp_path / "run", algo=algo, engine=engine, agent__learning_rate=1e12, checkpoint__interval=100)
    assert checkpoint_names(tmp_path / "run") == ["step_000000000100"]
    assert tracked_run(tmp_path / "run").info.status == "FAILED"


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    train(tmp_path / "run", checkpoint__keep=3, evaluation__interval=600)
    assert checkpoint_names(tmp_path / "run") == ["step_000000000340", "step_000000000510", "step_000000000600"]


def test_last_evaluation_and_checkpoint_are_at_the_end_whatever_their_intervals(tmp_path: Path) -> None:
    result = train(tmp_path / "run", steps=250, evaluation__interval=400, checkpoint__interval=1000)
    assert [point["env_steps"] for point in result["evaluations"]] == [250]
    assert checkpoint_names(tmp_path / "run") == ["step_000000000250"]
    assert result["learner_steps"] == 150


def test_rare_evaluations_come_before_those_that_are_scored(tmp_path: Path) -> None:
    result = train(tmp_path / "run", evaluation__early_interval=200, evaluation__score_window=2)
    assert evaluated_steps(tmp_path / "run") == [200, 400, 500, 600]
    assert result["score_window"] == 2
    assert result["score"] == pytest.approx(sum(each["return_mean"] for each in result["evaluations"][-2:]) / 2)


def test_updates_per_env_step_may_be_a_fraction_or_several(tmp_path: Path) -> None:
    for ratio, updates in ((0.5, 50), (2.0, 200)):
        result = train(tmp_path / f"run{ratio}", steps=200, agent__updates_per_env_step=ratio)
        assert result["learner_steps"] == updates
