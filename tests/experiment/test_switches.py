"""Runs with the switches of docs/methods.md on: they resume to the bit, hand out what they play, and say what is on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from rlx2_ray.config import dense_counterpart
from rlx2_ray.config.schema import LATER
from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.networks.policy_weights import AVERAGE
from rlx2_ray.networks.rescaling import gain_of
from rlx2_ray.networks.sparse_layer import from_arrays
from rlx2_ray.runs.checkpoint import ARRAYS, read_checkpoint
from rlx2_ray.runs.description import describe
from rlx2_ray.runs.switches import SWITCHES, names
from tests.support.checkpoints import form_of, newest
from tests.support.resumed import check_resumes_alike, leave_checkpoints
from tests.support.runs import Changes, small_config, train

SWITCHED: Changes = {
    "agent.beta_1": 0.8,
    "agent.beta_2": 0.9,
    "agent.grown_steps": "own",
    "target.mean": 0.5,
    "network.critic_norm": "layer",
    "network.rescaled": "both",
    "topology.growth_batches": 25,
    "policy.average": 40,
}
RUN: Changes = {**SWITCHED, "steps": 300, "topology.interval": 30, "checkpoint.interval": 100, "checkpoint.keep": 9}
TD3 = {**RUN, "target.samples": 3}
LEFT = "step_000000000200"  # after 100 updates, 4 of the 25 whose gradients the next event sums up


@pytest.fixture(scope="module", params=["td3", "sac"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("switched") / "run"
    train(directory, **(TD3 if request.param == "td3" else RUN), algo=request.param)
    return directory


def test_a_run_resumes_to_the_bit(whole: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(whole, tmp_path / "run")
    leave_checkpoints(directory, LEFT)
    arrays = load_file(newest(directory) / ARRAYS)
    assert arrays["critic.1.growth"].any()
    assert len(np.unique(arrays["critic.1.weights.age"])) > 1
    check_resumes_alike(directory, whole)


def test_what_is_handed_out_needs_nothing_more(whole: Path) -> None:
    arrays = load_file(newest(whole) / ARRAYS)
    kept = load_policy(whole / "policy.safetensors").layers
    assert [each.weights.tobytes() for each in kept] == [
        each.weights.tobytes() for each in from_arrays(arrays, AVERAGE)
    ]
    for number, layer in enumerate(from_arrays(arrays, "policy")):
        assert layer.weights.std() == pytest.approx(gain_of(len(layer.weights), layer.shape[0]), rel=1e-3)
        assert not np.allclose(layer.weights, arrays[f"policy.{number}.weights.raw"], rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("critic.1.weights.age", lambda array: array - 10**6, "is negative"),
        ("critic.1.weights.age", lambda array: array.astype(np.int32), "is int32"),
        ("critic.1.weights.age", lambda array: array + (1 << 61), "is beyond"),
        ("policy.0.weights.raw", lambda array: array * np.float32(np.nan), "is not finite"),
        ("policy.0.growth", lambda array: array[:1], "is float32"),
        ("policy.0.growth", None, "is missing"),
    ],
)
def test_a_damaged_state_is_not_taken(whole: Path, name: str, change: Any, problem: str) -> None:
    form = form_of(whole)
    checkpoint = read_checkpoint(newest(whole), form)
    arrays, values = checkpoint.arrays, checkpoint.values
    damaged = dict(arrays)
    if change is None:
        del damaged[name]
    else:
        damaged[name] = change(arrays[name])
    with pytest.raises(ValueError, match=f"^{name} {problem}"):
        form.arrays(values, damaged)


def test_without_them_a_run_has_the_name_that_it_had() -> None:
    canonical = small_config().canonical()
    assert not [key for key in SWITCHED if key.split(".")[1] in canonical.get(key.split(".")[0], {})]
    plain: Changes = {"topology.interval": 30}
    hashes = {small_config(**plain, **{key: value}).hash for key, value in SWITCHED.items()}
    assert len(hashes | {small_config(**plain).hash}) == len(SWITCHED) + 1


def test_the_dense_arm_has_them_too() -> None:
    keys = {**SWITCHED, "target.samples": 3, "target.beta": 0.7}
    dense = dense_counterpart(small_config(**keys, **{"topology.interval": 30})).model_dump()
    for key, value in keys.items():
        section, name = key.split(".")
        if section != "topology":  # it grows nothing
            assert dense[section][name] == value, key
    assert dense["target"]["n_step"] == 1


def test_what_is_on_is_said() -> None:
    assert describe(small_config(), 4, 1)["applied"] == []
    assert names(small_config()) == ""
    config = small_config(**TD3)
    said = describe(config, 4, 1)["applied"]
    assert [sentence.split(" ")[0].rstrip(":") for sentence in said] == [
        key for key in SWITCHES if key not in ("agent.normalize_observations", "topology.hold", "sparsity.block")
    ]
    assert "policy.average 40, target.samples 3, target.mean 0.5, agent.grown_steps own" in names(config)
    assert names(small_config(method="prune", topology__hold=0.5)) == "topology.hold 0.5"
    assert names(small_config(method="group")) == "", "its method says it"
    assert {key.split(".")[1] for key in SWITCHES} <= {name for section in LATER.values() for name in section}
