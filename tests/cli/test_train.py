"""`rlx2 train` and `rlx2 resume` as a script sees them: exit codes, streams, the JSON object, the run directory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rlx2_ray.api.training import default_directory
from rlx2_ray.cli.main import run
from rlx2_ray.config import load, resolve
from tests.support.runs import (
    Ended,
    compile_kernels,
    database_uri,
    environment,
    evaluated_steps,
    read_points,
    rlx2,
    small_arguments,
    small_config,
)

RESULT_KEYS = {
    "env_id", "algo", "method", "seed", "engine", "runtime", "env_steps", "learner_steps", "ended_early", "score",
    "evaluations", "policy_sparsity", "critic_sparsity", "active_weights", "size_ratio", "compression",
    "policy_c_bytes", "policy_c_bytes_int8",
    "train_flops_ratio_paper", "train_flops_ratio_counted", "inference_flops_ratio", "env_steps_per_s",
    "learner_steps_per_s", "wall_s", "evaluation_s", "score_window", "policy_digest", "deployed", "faults",
    "mlflow_run_id", "checkpoint", "versions",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A small run by the console script, with the defaults of `--out` and `--tracking-uri`."""
    folder = tmp_path_factory.mktemp("train")
    database_uri(folder)  # is where the default looks
    (folder / "small.yaml").write_text("steps: 200\nalgo: sac\n")
    arguments = ["small.yaml", *small_arguments(steps=300), "--algo", "td3", "--seed", "5"]
    process = rlx2("train", *arguments, "--policy-sparsity", "0.6", "--json", folder=folder)
    (directory,) = (folder / "runs").iterdir()
    return Ended(directory, process.returncode, process.stdout, process.stderr)


def test_last_line_of_output_is_a_json_object_with_the_keys_of_the_contract(finished: Ended) -> None:
    assert finished.code == 0
    assert finished.result.keys() == RESULT_KEYS
    assert len(finished.output.splitlines()) == 1


def test_result_file_equals_the_output(finished: Ended) -> None:
    assert json.loads((finished.directory / "result.json").read_text()) == finished.result


def test_result_says_what_was_asked_for_and_done(finished: Ended) -> None:
    result = finished.result
    asked = {key: result[key] for key in ("env_id", "algo", "method", "seed", "engine", "runtime", "policy_sparsity")}
    assert asked == {
        "env_id": "InvertedPendulum-v5",
        "algo": "td3",
        "method": "rlx2",
        "seed": 5,
        "engine": "sparse",
        "runtime": "inline",
        "policy_sparsity": 0.5,  # --set wins over --policy-sparsity
    }
    assert (result["env_steps"], result["learner_steps"]) == (300, 200)
    assert result["score_window"] == 3  # all there are
    assert result["score"] == pytest.approx(sum(each["return_mean"] for each in result["evaluations"]) / 3)
    assert re.fullmatch("[0-9a-f]{64}", result["policy_digest"])
    assert result["checkpoint"].endswith("step_000000000300")
    assert result["compression"] == pytest.approx(1 / result["size_ratio"])
    assert {"python", "torch", "gymnasium", "mujoco", "rlx2_ray"} <= result["versions"].keys()
    assert result["env_steps_per_s"] > 0
    assert result["wall_s"] >= 300 / result["env_steps_per_s"] + result["evaluation_s"]
    points = read_points(finished.directory)
    assert result["evaluation_s"] > sum(point["throughput/evaluation_s"] for point in points) > 0


def test_run_directory_holds_the_files_of_the_contract(finished: Ended) -> None:
    names = {path.name for path in finished.directory.iterdir()}
    assert {"config.yaml", "progress.jsonl", "checkpoints", "policy.safetensors", "result.json"} <= names


def test_default_directory_names_the_run(finished: Ended) -> None:
    assert re.fullmatch(r"InvertedPendulum-v5-td3-rlx2-s5-\d{8}-\d{6}", finished.directory.name)
    assert default_directory(small_config(env__id="a/b:c-v0")).name.startswith("a_b_c-v0-td3-rlx2-s0-")


def test_nothing_else_is_left_in_the_working_directory(finished: Ended) -> None:
    names = {path.name for path in finished.directory.parents[1].iterdir()}
    assert names == {"small.yaml", "runs", "mlflow.db", "mlflow.db.lock", "mlartifacts"}


def test_saved_configuration_reads_back_to_the_same_hash(finished: Ended) -> None:
    read = resolve(load(finished.directory / "config.yaml"))
    assert read.hash == small_config(steps=300, seed=5).hash
    assert read.model_dump(mode="json") == load(finished.directory / "config.yaml")


def test_progress_has_a_line_for_every_evaluation(finished: Ended) -> None:
    assert evaluated_steps(finished.directory) == [100, 200, 300]
    for point, evaluation in zip(read_points(finished.directory), finished.result["evaluations"], strict=True):
        assert evaluation == {key: point[key] for key in ("env_steps", "return_mean", "return_std")}


def test_progress_is_told_on_standard_error(finished: Ended) -> None:
    heading, lines = finished.error.splitlines()[:3], finished.error.splitlines()[3:]
    assert [line.split()[0] for line in heading] == ["InvertedPendulum-v5", "Policy", "Into"]
    assert [line.split("  ")[0] for line in lines] == ["env step 100", "env step 200", "env step 300"]
    assert all(re.search(r"return -?[\d.]+ ± [\d.]+  buffer \d+  \d+ steps/s", line) for line in lines)


def test_resume_of_a_finished_run_prints_its_result(finished: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["resume", str(finished.directory), "--json"]) == 0
    output, error = capsys.readouterr()
    assert json.loads(output) == finished.result
    assert error == ""


def test_people_get_a_table(finished: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["resume", str(finished.directory)]) == 0
    output, _ = capsys.readouterr()
    assert "InvertedPendulum-v5, TD3, rlx2, seed 5" in output
    assert f"{finished.result['score']:.1f}" in output
    assert "50% / 40%" in output


def test_unreachable_mlflow_is_said_once_and_the_run_goes_on(tmp_path: Path) -> None:
    arguments = [*small_arguments(steps=200), "--tracking-uri", "http://127.0.0.1:1", "--out", "run", "--json"]
    process = rlx2("train", *arguments, folder=tmp_path)
    assert process.returncode == 0
    words = [line for line in process.stderr.splitlines() if "MLflow" in line]
    assert len(words) == 2
    assert "MLflow at http://127.0.0.1:1 cannot be used" in words[0]
    assert words[1] == "3 points wait for MLflow: 'rlx2 resume run' delivers them."
    result = json.loads(process.stdout.splitlines()[-1])
    assert result["mlflow_run_id"] is None
    assert (result["env_steps"], len(result["evaluations"])) == (200, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


PROGRAM = """
import sys
from rlx2_ray.cli.main import run
code = run(sys.argv[1:])
print(code, "torch" in sys.modules)
"""


def test_run_on_the_sparse_engine_never_loads_torch(tmp_path: Path) -> None:
    compile_kernels()
    arguments = [*small_arguments(steps=150), "--tracking-uri", database_uri(tmp_path), "--out", "run", "--json"]
    program = [sys.executable, "-c", PROGRAM, "train", *arguments]
    process = subprocess.run(program, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert process.stdout.splitlines()[1:] == ["0 False"], process.stderr


def test_engine_can_be_chosen(tmp_path: Path) -> None:
    arguments = [*small_arguments(steps=150), "--engine", "torch", "--out", str(tmp_path / "run")]
    assert run(["train", *arguments, "--tracking-uri", database_uri(tmp_path)]) == 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["engine"] == "torch"


def test_tracking_uri_is_taken_from_mlflow_s_own_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database_uri(tmp_path / "elsewhere"))
    assert run(["train", *small_arguments(steps=101, evaluation__interval=101), "--out", "run"]) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["tracking_uri"].endswith("elsewhere/mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()


def test_dense_method_trains_with_every_weight(tmp_path: Path) -> None:
    arguments = small_arguments(steps=150, method="dense", sparsity__policy=0, sparsity__critic=0)
    assert run(["train", *arguments, "--out", str(tmp_path / "run"), "--tracking-uri", database_uri(tmp_path)]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["size_ratio"], result["compression"], result["method"]) == (1.0, 1.0, "dense")
