"""Whatever is wrong with the input: exit code 2, one sentence that names it, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlx2_ray.cli.main import run
from tests.support.runs import rlx2, small_arguments
from tests.support.strange_envs import MODULE

COMMANDS = ("train", "resume", "evaluate", "export", "describe")
PENDULUM = ["--env", "InvertedPendulum-v5"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with things in it that a command may be pointed at."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "letter.txt").write_text("dear diary")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("steps: 10\n")
    (tmp_path / "file").write_text("some text\n")
    (tmp_path / "binary").write_bytes(b"\xf3\x00\xff" * 100)
    (tmp_path / "broken.yaml").write_text("agent: {batch_size: 3\nsteps: [")
    (tmp_path / "list.yaml").write_text("- 1\n- 2\n")
    (tmp_path / "unknown_key.yaml").write_text("agent: {batchsize: 3}\n")
    (tmp_path / "mistyped.yaml").write_text("agent: {batch_size: several}\n")
    return tmp_path


def check_refusal(arguments: list[str], words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(folder)
    code = run(arguments)
    output, error = capsys.readouterr()
    assert code == 2
    assert output == ""
    assert error[-2:] in (".\n", "?\n")
    assert error.count("\n") == 1
    assert [word for word in words if word not in error] == []
    assert files(folder) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--env", "NoSuchThing-v9"], ["env.id", "'NoSuchThing-v9'"]),
        (["--env", "nosuchmodule:Thing-v0"], ["env.id", "nosuchmodule"]),
        (["--env", "CartPole-v1"], ["env.id", "'CartPole-v1'", "Discrete(2)"]),
        (["--env", f"{MODULE}:Unbounded-v0"], ["env.id", "Unbounded-v0", "unbounded"]),
        (["--env", "Blackjack-v1"], ["env.id", "'Blackjack-v1'", "Discrete(2)"]),
        ([*PENDULUM, "--set", "env.kwargs={colour: red}"], ["InvertedPendulum-v5", "colour"]),
        (["--policy-sparsity", "1"], ["sparsity.policy", "1"]),
        (["--policy-sparsity", "1.2"], ["sparsity.policy", "1.2"]),
        (["--actor-sparsity", "1.2"], ["sparsity.policy", "1.2"]),
        (["--critic-sparsity", "-0.1"], ["sparsity.critic", "-0.1"]),
        (["--critic-sparsity", "abc"], ["sparsity.critic", "'abc'"]),
        (["--policy-sparsity", "nan"], ["sparsity.policy", "nan"]),
        ([*PENDULUM, "--policy-sparsity", "0.99999"], ["sparsity.policy", "0.99999"]),
        ([*PENDULUM, "--critic-sparsity", "0.99999"], ["sparsity.critic", "0.99999"]),
        (["--method", "dense", "--policy-sparsity", "0.5"], ["sparsity.policy", "0.5", "dense"]),
        (["--set", "agent.batchsize=3"], ["agent.batchsize", "agent.batch_size"]),
        (["--set", "nonsense=3"], ["nonsense"]),
        (["--set", "agent=3"], ["agent", "3"]),
        (["--set", "agent.batch_size=several"], ["agent.batch_size", "'several'"]),
        (["--set", "target.n_step=1.5"], ["target.n_step", "1.5"]),
        (["--set", "agent.learning_rate=.inf"], ["agent.learning_rate", "inf"]),
        (["--set", "agent.discount"], ["--set", "'agent.discount'", "KEY=VALUE"]),
        (["--set", "=3"], ["--set", "'=3'"]),
        (["--set", "network.hidden=[16"], ["network.hidden", "'[16'"]),
        (["--set", "network.hidden=[]"], ["network.hidden"]),
        (["--steps", "0"], ["steps", "0"]),
        (["--steps", "-5"], ["steps", "-5"]),
        (["--steps", "abc"], ["steps", "'abc'"]),
        (["--steps", "10", "--set", "agent.warmup_steps=10"], ["agent.warmup_steps", "10"]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--algo", "ppo"], ["algo", "'ppo'", "sac"]),
        (["--method", "magic"], ["method", "'magic'", "rlx2"]),
        (["--engine", "steam"], ["engine", "'steam'"]),
        (["--runtime", "cloud"], ["runtime.kind", "'cloud'"]),
        (["--runtime", "actors", "--replay-shards", "4"], ["runtime.replay_shards", "4"]),
        ([*PENDULUM, "--set", "device=gpu9"], ["device", "'gpu9'"]),
        ([*PENDULUM, "--set", "device=meta"], ["device", "'meta'"]),
        ([*PENDULUM, "--engine", "sparse", "--set", "device=cuda"], ["device", "'cuda'", "sparse", "torch"]),
        ([*PENDULUM, "--engine", "sparse", "--set", "device=cpu:0"], ["device", "'cpu:0'", "sparse"]),
        ([*PENDULUM, "--engine", "torch", "--set", "device=gpu9"], ["device", "'gpu9'", "torch"]),
        (["--set", "replay.min_capacity=2000000"], ["replay.min_capacity", "2000000"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("-") else None,
)
def test_configuration_that_cannot_be_used(
    arguments: list[str], words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(["train", *arguments], words, folder, capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "absent.yaml"], ["absent.yaml"]),
        (["train", "broken.yaml"], ["broken.yaml", "line"]),
        (["train", "binary"], ["binary"]),
        (["train", "taken"], ["taken"]),
        (["train", "list.yaml"], ["list.yaml"]),
        (["train", "unknown_key.yaml"], ["agent.batchsize", "agent.batch_size"]),
        (["train", "mistyped.yaml"], ["agent.batch_size", "'several'"]),
        (["train", "--out", "run"], ["run", "already holds a run", "rlx2 resume"]),
        (["train", "--out", "taken"], ["taken", "--out"]),
        (["train", "--out", "file"], ["file", "--out"]),
        (["train", *PENDULUM, "--out", "file/inside"], ["file/inside", "--out"]),
        (["train", "--tracking-uri", "foo://bar"], ["'foo://bar'", "MLflow"]),
        (["train", "--tracking-uri", "sqlite://"], ["'sqlite://'"]),
        (["train", "--tracking-uri", "some/folder"], ["'some/folder'"]),
        (["resume", "absent"], ["There is no absent"]),
        (["resume", "taken"], ["taken", "no run"]),
        (["resume", "file"], ["file", "no run"]),
        (["evaluate", "absent"], ["absent"]),
        (["evaluate", "taken"], ["taken", "no run"]),
        (["evaluate", "file"], ["file"]),
        (["evaluate", "binary"], ["binary"]),
        (["evaluate", "binary", "--video", "absent/film.mp4"], ["absent/film.mp4", "--video"]),
        (["export", "absent", "--format", "parquet"], ["There is no absent"]),
        (["export", "taken", "--format", "parquet"], ["taken", "no run"]),
        (["export", "file", "--format", "parquet"], ["file", "no run"]),
        (["export", "taken", "--format", "csv"], ["--format", "'csv'", "parquet"]),
        (["describe", "--env", "CartPole-v1"], ["env.id", "CartPole-v1"]),
        (["describe", "--observation-size", "3"], ["--action-size"]),
        (["describe", "--observation-size", "3", "--action-size", "0"], ["--action-size", "0"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0] in COMMANDS else None,
)
def test_path_or_address_that_cannot_be_used(
    arguments: list[str], words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(arguments, words, folder, capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], ["frobnicate"]),
        (["--bogus"], ["--bogus"]),
        (["train", "--bogus"], ["--bogus"]),
        (["train", "--steps"], ["--steps"]),
        (["train", "a.yaml", "b.yaml"], ["b.yaml"]),
        (["resume"], ["DIR"]),
        (["evaluate", "run", "--episodes", "0"], ["--episodes"]),
        (["export", "run"], ["--format"]),
        (["evaluate", "run", "--seed", "-1"], ["--seed"]),
        (["bench", "replay", "--transitions", "100"], ["--transitions", "10000"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_usage_error(arguments: list[str], words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal(arguments, words, folder, capsys)


def test_sparsity_that_empties_a_layer_names_that_layer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal(["describe", *small_arguments(sparsity__policy=0.995)], ["policy"], folder, capsys)


def test_no_command_shows_help_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    output, error = capsys.readouterr()
    assert "train" in output
    assert error.count("\n") == 1
    assert ": :" not in error


def test_console_script_refuses_with_exit_code_2_and_no_traceback(folder: Path) -> None:
    before = files(folder)
    process = rlx2("train", "--env", "CartPole-v1", folder=folder)
    assert (process.returncode, process.stdout, process.stderr.count("\n")) == (2, "", 1)
    assert "CartPole-v1" in process.stderr
    assert files(folder) == before
