"""Experts, tickets and runs to play whose checkpoints somebody altered, digests and all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlx2_ray.experiment.playback import find_policy
from rlx2_ray.experiment.predecessors import inherited_models
from rlx2_ray.networks.sparse_layer import Arrays
from rlx2_ray.runs.checkpoint import DamagedCheckpoint, read_checkpoint
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.types import BadInput, Spaces
from tests.support.checkpoints import alter_arrays, form_of, newest
from tests.support.runs import resume, small_config, train

PENDULUM = Spaces(4, 1, (-3.0,), (3.0,))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("finished") / "run"
    train(directory, steps=200, checkpoint__interval=100)
    return directory


@pytest.fixture
def source(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "source"))


def wider(arrays: Arrays) -> None:
    arrays["critic.1.shape"] = np.array([16, 256_000], np.int32)


def doubled(arrays: Arrays) -> None:
    arrays["critic.1.indices"] = np.zeros_like(arrays["critic.1.indices"])


def negative(arrays: Arrays) -> None:
    arrays["policy.1.indices"] = arrays["policy.1.indices"] - 10_000


@pytest.mark.parametrize("alter", [wider, doubled, negative])
@pytest.mark.parametrize("changes", [{"method": "ticket", "topology__ticket": ""}, {"target__expert": ""}])
def test_what_is_taken_over_is_held_against_its_plan(alter: Any, changes: dict[str, Any], source: Path) -> None:
    alter_arrays(newest(source), alter)
    config = small_config(**{key: value or str(source) for key, value in changes.items()})
    with pytest.raises(BadInput, match=r"whose checkpoint is damaged \(arrays\.safetensors: "):
        inherited_models(config, PENDULUM)


def test_expert_in_a_checkpoint_is_held_against_its_own_plan(source: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    changes: dict[str, Any] = {"steps": 300, "checkpoint__interval": 100, "network__hidden": [8, 8]}
    train(run, **changes, method="rigl_qstar", target__expert=str(source))
    (run / "result.json").unlink()
    own = form_of(run)
    expert, _ = RunDirectory(source).open()
    assert read_checkpoint(newest(run), own._replace(expert=expert)).values["env_steps"] == 300

    def alter(arrays: Arrays) -> None:
        arrays["target_critic.1.shape"] = np.array([16, 256_000], np.int32)

    alter_arrays(newest(run), alter)
    for form in (own, own._replace(expert=expert)):
        with pytest.raises(DamagedCheckpoint, match="target_critic"):
            read_checkpoint(newest(run), form)
    assert resume(run)["env_steps"] == 300


def test_policy_to_play_is_of_the_older_checkpoint_where_the_newest_is_altered(source: Path) -> None:
    (source / "policy.safetensors").unlink()
    (source / "result.json").unlink()
    alter_arrays(newest(source), negative)
    said: list[str] = []
    assert find_policy(source, said.append).about["env_steps"] == 100
    assert "policy.1.indices are not places" in said[0]


def test_policy_to_play_is_of_the_task(source: Path) -> None:
    form = form_of(source)
    checkpoint = read_checkpoint(newest(source), form)
    with pytest.raises(BadInput, match=r"another size than the 4 and 1 that .* was trained with"):
        RunForm(form.config, Spaces(5, 1, (-1.0,), (1.0,))).check_sizes(checkpoint.arrays, source)
