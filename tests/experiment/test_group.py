"""Runs of method group: they resume to the bit, say what they came to, and take no altered state."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.networks.policy_file import load_policy
from rlx2_ray.networks.sparse_layer import from_arrays
from rlx2_ray.runs.checkpoint import read_checkpoint
from tests.support.checkpoints import form_of, newest
from tests.support.resumed import check_resumes_alike, leave_checkpoints
from tests.support.runs import Changes, read_points, train

RUN: Changes = {
    **{"method": "group", "steps": 300, "checkpoint.interval": 100, "checkpoint.keep": 9, "topology.interval": 10},
    **{"topology.start_update": 20, "topology.end_update": 180, "topology.hold": 0.1, "topology.hold_episodes": 3},
    "seed": 2,  # whose return falls and rises
}
LEFT = "step_000000000200"  # after 100 updates


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    directory = tmp_path_factory.mktemp("group") / "run"
    return directory, train(directory, **RUN)


def test_a_run_resumes_to_the_bit(whole: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    directory = shutil.copytree(whole[0], tmp_path / "run")
    leave_checkpoints(directory, LEFT)
    learner = read_checkpoint(newest(directory), form_of(directory)).values["learner"]
    assert len(learner["returns"]["recent"]) == 3
    assert 0 < learner["critic_optimizer"]["late"] < learner["critic_optimizer"]["latest"], "it has waited, and gone on"
    check_resumes_alike(directory, whole[0])
    last = read_checkpoint(newest(directory), form_of(directory)).values["learner"]
    assert last == read_checkpoint(newest(whole[0]), form_of(whole[0])).values["learner"]


def test_a_result_says_what_it_came_to(whole: tuple[Path, dict[str, Any]]) -> None:
    directory, result = whole
    arrays = read_checkpoint(newest(directory), form_of(directory)).arrays
    assert result["active_weights"] == sum(len(arrays[f"policy.{layer}.indices"]) for layer in range(3)) + sum(
        len(arrays[f"critic.{layer}.indices"]) for layer in range(6)
    )
    dense = 16 * (4 + 16 + 1), 2 * 16 * (5 + 16 + 1)
    pruned = read_points(directory)[-1]
    for name, asked, weights in (("policy", 0.5, dense[0]), ("critic", 0.4, dense[1])):
        wanted = asked * pruned[f"topology/{name}_pruned"]
        assert result[f"{name}_sparsity"] == pytest.approx(wanted, abs=12 / weights), "but for whole groups"
    kept = load_policy(directory / "policy.safetensors").layers
    numbers = sum(len(np.unique(layer.weights)) for layer in (*kept, *from_arrays(arrays, "critic")))
    assert result["values"] == numbers < 0.5 * result["active_weights"]
    assert result["size_ratio"] == pytest.approx(numbers / sum(dense))
    assert result["size_ratio"] < result["train_flops_ratio_counted"] < 1


@pytest.mark.parametrize("model", ["policy", "critic", "target_critic", "best_policy"])
def test_broken_groups_are_not_taken(model: str, whole: tuple[Path, dict[str, Any]]) -> None:
    form = form_of(whole[0])
    checkpoint = read_checkpoint(newest(whole[0]), form)
    arrays = {name: array.copy() for name, array in checkpoint.arrays.items()}
    weights = arrays[f"{model}.1.weights"]
    weights[0] = np.nextafter(weights[0], np.float32(2), dtype=np.float32)
    problem = rf"^{model}\.1 has weights that do not share their value, with a sparsity.block of 4$"
    with pytest.raises(ValueError, match=problem):
        form.arrays(checkpoint.values, arrays)


@pytest.mark.parametrize(
    ("alter", "problem"),
    [
        (lambda learner: learner.pop("returns"), "learner.returns and late do not fit topology.hold"),
        (lambda learner: learner["critic_optimizer"].pop("late"), "has some of late, latest and lived alone"),
        (lambda learner: learner["critic_optimizer"].update(late=10**6), "is later than its calls"),
        (lambda learner: learner["returns"].update(best=-1e9), "has a first mean above the best"),
        (lambda learner: learner["returns"].update(best=None), "has one of first and best alone"),
        (lambda learner: learner["returns"].update(recent=[1.0]), "has 1 recent ones for means of 3"),
        (lambda learner: learner["returns"].update(recent=[1.0] * 99), "has 99 recent ones for means of 3"),
        (lambda learner: learner["returns"].update(recent=[float("nan")] * 3), "finite"),
    ],
)
def test_an_altered_state_is_not_taken(
    alter: Callable[[dict[str, Any]], object], problem: str, whole: tuple[Path, dict[str, Any]]
) -> None:
    form = form_of(whole[0])
    checkpoint = read_checkpoint(newest(whole[0]), form)
    alter(checkpoint.values["learner"])
    with pytest.raises(ValueError, match=problem):
        form.values(300, checkpoint.values)
