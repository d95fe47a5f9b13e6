"""`rlx2 export` of policies, and `rlx2 evaluate` of what it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.cli.export import FORMATS as NAMED
from rlx2_ray.cli.main import run
from rlx2_ray.export.formats import FORMATS
from rlx2_ray.networks.policy_file import load_policy, policy_digest
from tests.support.commands import refused, succeeded
from tests.support.runs import ROOT, flip_byte, train

TRAINED = ROOT / "results" / "inverted_pendulum_policy.safetensors"
DEFAULT = "inverted_pendulum_v5_td3"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "run"
    train(path, steps=300)
    return path


@pytest.fixture
def directory(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_help_names_every_format() -> None:
    assert (*FORMATS, "parquet") == NAMED


def evaluated(capsys: pytest.CaptureFixture[str], path: Path) -> dict[str, Any]:
    """What two episodes came to; of C that it is run is said, and nothing else."""
    assert run(["evaluate", str(path), "--episodes", "2", "--json"]) == 0
    output, error = capsys.readouterr()
    said = f"{path} is native code as rlx2 export writes it: it is compiled, and run in a process of its own.\n"
    assert error == (said if path.suffix == ".c" else "")
    content: dict[str, Any] = json.loads(output.splitlines()[-1])
    return content


@pytest.mark.parametrize("file_format", FORMATS)
def test_exported_policy_returns_the_same(file_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / f"pendulum.{file_format}"
    exported = succeeded(capsys, "export", TRAINED, "--format", file_format, "--out", out)
    assert (exported["path"], exported["env_id"], exported["algo"]) == (str(out), "InvertedPendulum-v5", "td3")
    assert exported["check"]["max_difference"] < 1e-5
    assert exported["bytes"] == out.stat().st_size
    ours, theirs = (evaluated(capsys, path) for path in (TRAINED, out))
    assert theirs == ours
    assert exported["policy_digest"] == ours["policy_digest"]
    assert ours["return_mean"] == 1000
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("file_format", FORMATS)
def test_export_of_a_run_goes_into_it(file_format: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((directory / "result.json").read_text())
    exported = succeeded(capsys, "export", directory, "--format", file_format)
    assert exported["path"] == str(directory / f"{DEFAULT}.{file_format}")
    assert (exported["score"], exported["policy_digest"]) == (result["score"], result["policy_digest"])
    assert f"{DEFAULT}.{file_format}, which exists" in refused(capsys, "export", directory, "--format", file_format)


def test_file_says_what_it_is_of(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported = succeeded(capsys, "export", directory, "--format", "safetensors")
    policy, result = load_policy(Path(exported["path"])), json.loads((directory / "result.json").read_text())
    about = policy.about
    same = ("env_id", "method", "seed", "score", "env_steps", "learner_steps", "policy_sparsity", "versions")
    assert {key: about[key] for key in same} == {key: result[key] for key in same}
    assert about["policy_digest"] == policy_digest(policy.layers)
    assert [(layer["shape"], layer["active"]) for layer in about["layers"]] == [
        (list(layer.shape), len(layer.weights)) for layer in policy.layers
    ]
    assert "action_low" in about["action_scaling"]


def test_unfinished_run_is_exported_from_its_newest_checkpoint(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("policy.safetensors", "result.json"):
        (directory / name).unlink()
    shutil.rmtree(directory / "checkpoints" / "step_000000000300")
    exported = succeeded(capsys, "export", directory, "--format", "safetensors")
    points = [json.loads(line) for line in (directory / "progress.jsonl").read_text().splitlines()]
    assert load_policy(Path(exported["path"])).about["env_steps"] == 170
    assert exported["score"] == points[0]["return_mean"], "the evaluations at steps 200 and 300 are of later policies"


@pytest.mark.parametrize("file_format", FORMATS)
def test_best_policy_of_a_run(file_format: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = load_policy(directory / "best_policy.safetensors")
    exported = succeeded(capsys, "export", directory, "--format", file_format, "--best")
    assert exported["path"] == str(directory / f"{DEFAULT}_best.{file_format}")
    assert exported["policy_digest"] == policy_digest(best.layers)
    if file_format == "safetensors":
        about = load_policy(Path(exported["path"])).about
        assert {key: about[key] for key in best.about} == best.about
    if file_format == "c":
        said = f"The policy of the best of its evaluations, whose mean return was {best.about['return_mean']:.1f}."
        assert said in Path(exported["path"]).read_text()


@pytest.mark.parametrize(("name", "other", "smaller"), [("int8", "int16", 0.6), ("int16", "int8", 0.8)])
def test_integer_weights_say_what_they_lose(
    name: str, other: str, smaller: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pendulum.c"
    exported = succeeded(capsys, "export", TRAINED, "--format", "c", f"--{name}", "--episodes", 2, "--out", out)
    loss = exported[name]
    from_trained = exported["check"]["max_difference_from_trained"]
    assert (from_trained > 0.05) == (name == "int8")  # far from where the episodes go
    assert 0 < loss["max_difference"] < min(0.05, from_trained)
    assert (loss["episodes"], loss["return_before"], loss["return_lost"]) == (2, 1000, 1000 - loss["return_after"])
    assert exported["check"]["max_difference"] < 1e-5
    assert f"Mean return over 2 episodes: 1000.0 before, {loss['return_after']:.1f} after." in out.read_text()
    assert evaluated(capsys, out)["return_mean"] == loss["return_after"]
    plain = succeeded(capsys, "export", TRAINED, "--format", "c", "--out", tmp_path / "plain.c")
    assert exported["table_bytes"] < plain["table_bytes"] * smaller
    assert (exported[other], plain["int8"], plain["int16"]) == (None, None, None)


def test_without_a_compiler_the_tables_are_checked_and_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    out = tmp_path / "pendulum.c"
    exported = succeeded(capsys, "export", TRAINED, "--format", "c", "--out", out)
    assert exported["check"]["by"] == "numpy on its tables (there is no C compiler here)"
    assert run(["evaluate", str(out), "--episodes", "1", "--json"]) == 0
    output, error = capsys.readouterr()
    assert json.loads(output)["return_mean"] == 1000
    assert error == f"There is no C compiler here, so the tables in {out} are played without its code.\n"


def test_export_that_acts_otherwise_is_not_put_in_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a compiler whose programs answer each observation with zero."""
    other = tmp_path / "other"
    other.write_text('#!/bin/sh\nfor last; do :; done\ncp "$0.program" "$last"\n')
    (tmp_path / "other.program").write_text("#!/bin/sh\nhead -c 4000 /dev/zero\n")
    for script in tmp_path.iterdir():
        script.chmod(0o755)
    monkeypatch.setenv("CC", str(other))
    out = tmp_path / "out" / "pendulum.c"
    assert run(["export", str(TRAINED), "--format", "c", "--out", str(out)]) == 1
    assert "differs from the policy" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_tampered_export_is_refused_with_its_name(
    file_format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"pendulum.{file_format}"
    succeeded(capsys, "export", TRAINED, "--format", file_format, "--out", out)
    flip_byte(out)
    assert f"{out} " in refused(capsys, "evaluate", out)


def test_run_without_a_policy_is_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(directory / "checkpoints")
    (directory / "policy.safetensors").unlink()
    error = refused(capsys, "export", directory, "--format", "c")
    assert f"{directory} has no policy and no checkpoint yet" in error


def test_run_that_has_trained_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run", steps=120, checkpoint__interval=60)
    (tmp_path / "run" / "policy.safetensors").unlink()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step_000000000120")
    capsys.readouterr()
    error = refused(capsys, "export", tmp_path / "run", "--format", "onnx")
    assert f"{tmp_path / 'run'} has trained nothing yet" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "tflite"], ["--format", "'tflite'", "safetensors or onnx or c or parquet"]),
        (["--format", "onnx", "--int8"], ["--int8", "--format c", "onnx"]),
        (["--format", "parquet", "--int16"], ["--int16", "--format c", "parquet"]),
        (["--format", "parquet", "--best"], ["--best", "parquet", "leave it out"]),
        (["--format", "c", "--tune"], ["--tune is for --int8 or --int16", "leave --tune out"]),
        (["--format", "c", "--int8", "--int16"], ["--int8", "--int16", "leave one of them out"]),
        (["--format", "onnx", "--out", "policy.c"], ["--out", "policy.c", ".onnx"]),
        (["--format", "c", "--out", "file/policy.c"], ["--out", "file/policy.c", "cannot be written"]),
        (["--format", "c", "--out", "taken.c"], ["--out", "taken.h", "exists"]),
        (["--format", "c", "--out", "a b.c"], ["--out", "a b.c", "letters"]),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file", "taken.h"):
        (tmp_path / name).touch()
    error = refused(capsys, "export", TRAINED, *arguments)
    assert [word for word in words if word not in error] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken.h"]


def test_exported_file_is_no_source_of_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pendulum.onnx"
    succeeded(capsys, "export", TRAINED, "--format", "onnx", "--out", out)
    assert f"{out} cannot be read as a policy" in refused(capsys, "export", out, "--format", "c")


def test_int8_needs_the_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rlx2_ray.networks.policy_file import save_policy

    save_policy(tmp_path / "policy.safetensors", load_policy(TRAINED)._replace(env={"id": "Gone-v0", "kwargs": {}}))
    error = refused(capsys, "export", tmp_path / "policy.safetensors", "--format", "c", "--int8")
    assert "Gone-v0" in error
    succeeded(capsys, "export", tmp_path / "policy.safetensors", "--format", "c")


@pytest.mark.parametrize(("file_format", "words"), [("onnx", "run by onnxruntime"), ("c", "kB of tables; run by ")])
def test_people_get_a_sentence(
    file_format: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"pendulum.{file_format}"
    assert run(["export", str(TRAINED), "--format", file_format, "--out", str(out)]) == 0
    output, _ = capsys.readouterr()
    assert output.startswith(f"{out}: a policy for InvertedPendulum-v5, ")
    assert words in output
    estimated = output.splitlines()[1:]
    assert [line.partition(" multiply-adds. Estimated, ")[0] for line in estimated] == (
        ["An action takes 6670"] if file_format == "c" else []
    )
