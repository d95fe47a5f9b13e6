"""The algorithm as RLlib drives it: its results, its checkpoints, and where they may go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.callbacks.callbacks import RLlibCallback

from rlx2_ray.cli.main import run
from rlx2_ray.rllib import RLx2, checkpoint_files
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.types import BadInput
from tests.rllib.conftest import Keep, MakeConfig
from tests.support.runs import (
    checkpoint_names,
    evaluated_steps,
    flip_byte,
    read_points,
    rlx2,
    tracked_run,
    tracked_runs,
    train,
)


def iterate(algo: RLx2, iterations: int) -> dict[str, Any]:
    """The last result."""
    results: list[dict[str, Any]] = [algo.train() for _ in range(iterations)]
    return results[-1]


def digest_of(directory: Path) -> str:
    digest: str = json.loads((directory / "result.json").read_text())["policy_digest"]
    return digest


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the same run as `rlx2 train` makes it."""
    result = train(tmp_path_factory.mktemp("whole") / "run", evaluation__interval=200)
    return str(result["policy_digest"])


def test_an_iteration_is_an_evaluation_under_rllib_names(make_config: MakeConfig, keep: Keep, tmp_path: Path) -> None:
    algo = keep(make_config().build_algo())
    result = iterate(algo, 2)
    points = read_points(algo.run_directory)
    newest = points[-1]
    assert (result["training_iteration"], algo.iteration) == (2, 2)
    assert result["num_env_steps_sampled_lifetime"] == newest["env_steps"] == 400
    assert result["env_runners"]["episode_return_mean"] == newest["return_mean"]
    assert result["evaluation"]["env_runners"] == {"episode_return_mean": newest["return_mean"], "num_episodes": 1}
    assert result["learners"]["default_policy"]["critic_loss"] == newest["train/critic_loss"]
    assert result["rlx2"]["learner_steps"] == newest["learner_steps"] == 300
    assert result["rlx2"]["score"] == pytest.approx(sum(point["return_mean"] for point in points) / 2)
    assert result["done"] is False


def test_run_ends_as_that_of_the_command_line(make_config: MakeConfig, keep: Keep, whole: str) -> None:
    algo = keep(make_config().build_algo())
    result = iterate(algo, 3)
    assert result["done"] is True
    assert result["rlx2"]["policy_digest"] == digest_of(algo.run_directory) == whole
    assert result["rlx2"]["mlflow_run_id"] == tracked_run(algo.run_directory.parents[2] / "run").info.run_id
    with pytest.raises(BadInput, match="The run has its 600 env steps"):
        algo.train()


@pytest.mark.parametrize("iterations", [0, 2, 3])
def test_saved_algorithm_is_a_run_that_the_command_line_finishes(
    iterations: int, make_config: MakeConfig, keep: Keep, whole: str, tmp_path: Path
) -> None:
    algo = keep(make_config().build_algo())
    for _ in range(iterations):
        algo.train()
    path = Path(algo.save_to_path(tmp_path / "saved"))
    algo.stop()
    process = rlx2("resume", str(path), "--json", folder=tmp_path)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout.splitlines()[-1])["policy_digest"] == whole
    assert evaluated_steps(path) == [200, 400, 600]
    assert tracked_run(tmp_path / "run").info.status == "FINISHED"


def test_restored_algorithm_goes_on_to_the_same_end_in_the_same_mlflow_run(
    make_config: MakeConfig, keep: Keep, whole: str, tmp_path: Path
) -> None:
    algo = keep(make_config().build_algo())
    algo.train()
    path = algo.save_to_path(tmp_path / "saved")
    iterate(algo, 2)

    restored = keep(RLx2.from_checkpoint(path))
    assert (restored.iteration, restored.run_directory != algo.run_directory) == (1, True)
    result = restored.train()
    assert (result["training_iteration"], result["num_env_steps_sampled_lifetime"]) == (2, 400)
    assert restored.train()["rlx2"]["policy_digest"] == whole
    assert evaluated_steps(Path(path)) == [200], "a checkpoint stays as it is"
    assert len(tracked_runs(tmp_path / "run")) == 1


def test_checkpoint_that_is_saved_again_is_replaced(make_config: MakeConfig, keep: Keep, tmp_path: Path) -> None:
    algo = keep(make_config().build_algo())
    for iteration in (1, 2):
        algo.train()
        path = Path(algo.save_to_path(tmp_path / "saved"))
        assert checkpoint_names(path) == [f"step_{200 * iteration:012}"]
        assert len(read_points(path)) == iteration


def test_no_run_is_overwritten(make_config: MakeConfig, keep: Keep, tmp_path: Path) -> None:
    algo = keep(make_config().build_algo())
    algo.train()
    train(tmp_path / "run", steps=200)
    for folder in (tmp_path / "run", algo.run_directory):
        with pytest.raises(BadInput, match=f"{folder} holds a run that is no checkpoint"):
            algo.save_to_path(folder)


def test_own_run_is_left_where_it_is(make_config: MakeConfig, keep: Keep, whole: str) -> None:
    algo = keep(make_config().build_algo())
    algo.train()
    algo.restore_from_path(algo.run_directory)
    assert iterate(algo, 2)["rlx2"]["policy_digest"] == whole


def test_saved_while_the_run_goes_on_is_not_changed_by_it(make_config: MakeConfig, keep: Keep, tmp_path: Path) -> None:
    algo = keep(make_config().build_algo())
    algo.train()
    path = Path(algo.save_to_path(tmp_path / "saved"))
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    iterate(algo, 2)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_run_of_the_command_line_goes_on_in_rllib(make_config: MakeConfig, keep: Keep, tmp_path: Path) -> None:
    train(tmp_path / "long", checkpoint__keep=10)
    short = tmp_path / "short"
    RunDirectory(tmp_path / "long").copy_to(short)  # as it was after a kill, at 510 of 600 env steps
    (short / "result.json").unlink()
    (short / "policy.safetensors").unlink()
    shutil.rmtree(short / "checkpoints")
    shutil.copytree(
        tmp_path / "long" / "checkpoints" / "step_000000000510", short / "checkpoints" / "step_000000000510"
    )
    algo = keep(RLx2.from_checkpoint(short))
    result = algo.train()
    assert (algo.iteration, result["done"]) == (6, True)
    assert result["rlx2"]["policy_digest"] == digest_of(tmp_path / "long")
    assert len(tracked_runs(tmp_path / "run")) == 1


def test_other_configuration_goes_on_from_the_weights_in_a_run_of_its_own(
    make_config: MakeConfig, keep: Keep, whole: str, tmp_path: Path
) -> None:
    algo = keep(make_config().build_algo())
    iterate(algo, 2)
    path = algo.save_to_path(tmp_path / "saved")
    other = keep(RLx2.from_checkpoint(path, config=make_config(agent__learning_rate=3e-3)))
    assert other.iteration == 2
    result = other.train()
    assert result["num_env_steps_sampled_lifetime"] == 600
    assert result["rlx2"]["policy_digest"] != whole
    assert len(tracked_runs(tmp_path / "run")) == 2


def test_evaluate_is_that_of_the_command_line(
    make_config: MakeConfig, keep: Keep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    algo = keep(make_config().debugging(seed=3).evaluation(evaluation_duration=4).build_algo())
    with pytest.raises(BadInput, match="before the first iteration"):
        algo.evaluate()
    algo.train()
    evaluated = algo.evaluate()["env_runners"]
    assert run(["evaluate", algo.save_to_path(tmp_path / "saved"), "--episodes", "4", "--seed", "3", "--json"]) == 0
    played = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert evaluated == {
        "episode_return_mean": played["return_mean"],
        "episode_return_min": min(played["returns"]),
        "episode_return_max": max(played["returns"]),
        "num_episodes": 4,
    }


def test_restoring_unpickles_nothing(make_config: MakeConfig, keep: Keep, tmp_path: Path) -> None:
    algo = keep(make_config().build_algo())
    algo.train()
    path = Path(algo.save_to_path(tmp_path / "saved"))
    files = [file for file in path.rglob("*") if file.is_file()]
    pickles = [file.name for file in files if file.read_bytes()[:1] == b"\x80"]
    assert sorted(pickles) == ["algorithm_state.msgpack", "class_and_ctor_args.pkl"]
    assert (path / "algorithm_state.msgpack").read_bytes() == checkpoint_files.EMPTY
    (path / "class_and_ctor_args.pkl").write_bytes(b"not a pickle")
    assert keep(RLx2.from_checkpoint(path)).iteration == 1


def test_class_of_rllib_restores_it_too(make_config: MakeConfig, keep: Keep, whole: str, tmp_path: Path) -> None:
    algo = keep(make_config().build_algo())
    algo.train()
    restored = keep(Algorithm.from_checkpoint(algo.save_to_path(tmp_path / "saved")))
    assert (type(restored), restored.iteration) == (RLx2, 1)
    assert iterate(restored, 2)["rlx2"]["policy_digest"] == whole


@pytest.mark.parametrize("damaged", ["arrays.safetensors", "values.json", "*.arrow", "index.json"])
def test_tampered_checkpoint_is_refused_by_name(
    damaged: str, make_config: MakeConfig, keep: Keep, tmp_path: Path
) -> None:
    algo = keep(make_config().build_algo())
    algo.train()
    path = Path(algo.save_to_path(tmp_path / "saved"))
    (file,) = path.rglob(damaged)
    flip_byte(file)
    with pytest.raises(BadInput) as error:
        RLx2.from_checkpoint(path)
    assert str(path / "checkpoints" / "step_000000000200") in str(error.value)
    assert "restore" in str(error.value)


def test_configuration_that_was_edited_is_refused_by_name(make_config: MakeConfig, keep: Keep, tmp_path: Path) -> None:
    path = Path(keep(make_config().build_algo()).save_to_path(tmp_path / "saved"))
    config = path / "config.yaml"
    config.write_text(config.read_text().replace("tau: 0.005", "tau: 0.5"))
    with pytest.raises(BadInput, match=f"{config} is not as the run wrote it"):
        RLx2.from_checkpoint(path)


@pytest.mark.parametrize(
    ("path", "words"), [("nothing here", "holds no run"), ("s3://bucket/run", "not of this machine's file system")]
)
def test_what_is_no_checkpoint_is_one_sentence(path: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        RLx2.from_checkpoint(path)


class Noting(RLlibCallback):
    seen: list[int] = []

    def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **kwargs: object) -> None:
        self.seen.append(result["training_iteration"])


def test_callback_sees_every_result(make_config: MakeConfig, keep: Keep) -> None:
    algo = keep(make_config().callbacks(Noting).build_algo())
    Noting.seen.clear()
    iterate(algo, 2)
    assert Noting.seen == [1, 2]


def test_failed_iteration_goes_on_from_the_newest_checkpoint(
    make_config: MakeConfig, keep: Keep, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    algo = keep(make_config().build_algo())
    algo.train()

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rlx2_ray.experiment.inline.InlineTrainer._learn", interrupt)
        with pytest.raises(KeyboardInterrupt):
            algo.train()
    assert algo.train()["training_iteration"] == 2
    assert algo.train()["rlx2"]["policy_digest"] == whole


def test_stopped_algorithm_is_killed_in_mlflow(make_config: MakeConfig, keep: Keep, tmp_path: Path) -> None:
    algo = keep(make_config().build_algo())
    algo.train()
    algo.stop()
    assert tracked_run(tmp_path / "run").info.status == "KILLED"
