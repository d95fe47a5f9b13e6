"""`rlx2 describe`: the figures of an agent, without making one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlx2_ray.cli.main import run
from tests.support.commands import succeeded
from tests.support.runs import rlx2

RATIOS = {"size_ratio", "compression", "train_flops_ratio_paper", "train_flops_ratio_counted", "inference_flops_ratio"}
HOPPER = ["--observation-size", "11", "--action-size", "3"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_hopper_at_98_percent_has_the_layers_of_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    content = succeeded(
        capsys, "describe", "--env", "Hopper-v5", "--actor-sparsity", "0.98", "--critic-sparsity", "0.95"
    )
    policy = content["policy"]
    assert [layer["active"] for layer in policy["layers"]] == [356, 682, 345]
    assert [layer["shape"] for layer in policy["layers"]] == [[256, 11], [256, 256], [3, 256]]
    assert policy["active"] == 356 + 682 + 345
    assert policy["layers"][0]["sparsity"] == pytest.approx(1 - 356 / (256 * 11))
    assert (content["observation_size"], content["action_size"]) == (11, 3)


def test_json_has_the_keys_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    content = succeeded(capsys, "describe", *HOPPER)
    assert content.keys() >= {"policy", "critic"} | RATIOS
    for network in ("policy", "critic"):
        assert content[network].keys() == {"layers", "active"}
        assert content[network]["active"] == sum(layer["active"] for layer in content[network]["layers"])
        assert all(layer.keys() == {"name", "shape", "sparsity", "active"} for layer in content[network]["layers"])
    assert [len(content[network]["layers"]) for network in ("policy", "critic")] == [3, 6]
    assert content["compression"] == pytest.approx(1 / content["size_ratio"])


def test_given_sizes_need_no_environment(capsys: pytest.CaptureFixture[str]) -> None:
    given = succeeded(capsys, "describe", "--env", "Nowhere-v3", *HOPPER)
    real = succeeded(capsys, "describe", "--env", "Hopper-v5")
    assert given.pop("env_id") == "Nowhere-v3"
    assert real.pop("env_id") == "Hopper-v5"
    assert given == real


def test_sac_policy_has_two_outputs_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    content = succeeded(capsys, "describe", "--algo", "sac", *HOPPER)
    assert content["policy"]["layers"][-1]["shape"] == [6, 256]
    assert content["critic"]["layers"][0]["shape"] == [256, 14]


def test_dense_agent_is_its_own_measure(capsys: pytest.CaptureFixture[str]) -> None:
    content = succeeded(capsys, "describe", "--method", "dense", *HOPPER)
    assert {content[ratio] for ratio in RATIOS} == {1.0}


def test_people_get_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "--policy-sparsity", "0.98", "--env", "Hopper-v3", *HOPPER]) == 0
    output, _ = capsys.readouterr()
    assert "Hopper-v3, TD3, rlx2" in output
    assert "policy.1" in output
    assert "682" in output
    assert "256 x 11" in output


def test_nothing_is_written(folder: Path) -> None:
    assert rlx2("describe", "--env", "Hopper-v5", folder=folder).returncode == 0
    assert list(folder.iterdir()) == []
