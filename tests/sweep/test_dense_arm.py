"""The dense arm: runs of this compression, and those of earlier ones that need not be run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.sweep.compression import dense_arm
from rlx2_ray.sweep.compression.dense_arm import DenseArm
from rlx2_ray.sweep.compression.dense_cache import DenseCache, Outcome
from tests.support.compression_envs import MODULE
from tests.support.runs import small_config

CONFIG = small_config(
    method="dense", sparsity__policy=0, sparsity__critic=0, env__id=f"{MODULE}:Indifferent-v0", steps=300
)
KNOWN = Outcome(40.0, [(100, 30.0), (200, 50.0)])


@pytest.fixture(autouse=True)
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run directories, beside an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "trials").mkdir()
    return tmp_path / "trials"


def write_run(trials: Path, seed: int, score: float | None) -> None:
    """None: it has begun, and not ended."""
    folder = trials / f"dense-s{seed}"
    folder.mkdir()
    (folder / "progress.jsonl").write_text('{"env_steps": 100, "return_mean": 3.0}\n')
    if score is not None:
        (folder / "result.json").write_text(json.dumps({"score": score}))


def test_run_of_an_earlier_compression_is_recalled(trials: Path) -> None:
    DenseCache(CONFIG).store(1, KNOWN)
    arm = DenseArm(CONFIG, trials)
    assert (arm.recall(0), arm.recall(1)) == (None, KNOWN)
    assert (arm.outcomes, arm.cached) == ({1: KNOWN}, {1})


@pytest.mark.parametrize("score", [None, 70.0])
def test_run_that_was_begun_here_is_not_taken_from_the_cache(score: float | None, trials: Path) -> None:
    """Or a resumed compression would take its own runs for those of another, which cost nothing."""
    DenseCache(CONFIG).store(1, KNOWN)
    write_run(trials, 1, score)
    arm = DenseArm(CONFIG, trials)
    assert arm.recall(1) is None
    assert arm.cached == set()


def test_run_is_kept_for_later_compressions(trials: Path) -> None:
    write_run(trials, 0, 70.0)
    arm = DenseArm(CONFIG, trials)
    arm.keep(0)
    assert arm.outcomes == {0: Outcome(70.0, [(100, 3.0)])}
    assert arm.cached == set()
    assert DenseCache(CONFIG).load(0) == Outcome(70.0, [(100, 3.0)])


def test_run_that_came_to_nothing_is_not_kept(trials: Path) -> None:
    write_run(trials, 0, None)
    arm = DenseArm(CONFIG, trials)
    arm.keep(0)
    arm.keep(1)
    assert arm.outcomes == {}


def test_run_of_the_cache_is_not_stored_again(trials: Path) -> None:
    DenseCache(CONFIG).store(1, KNOWN)
    arm = DenseArm(CONFIG, trials)
    arm.recall(1)
    arm.keep(1)
    assert (arm.outcomes[1], arm.cached) == (KNOWN, {1})


def test_what_the_record_says_is_remembered_though_the_cache_is_gone(trials: Path) -> None:
    seeds = [
        {"seed": 0, "score": 40.0, "curve": [[100, 30.0], [200, 50.0]], "cached": True},
        {"seed": 1, "score": 41.0, "curve": [[100, 31.0]], "cached": False},
    ]
    arm = DenseArm(CONFIG, trials)
    arm.remember(seeds)
    assert (arm.outcomes, arm.cached) == ({0: KNOWN}, {0})
    assert arm.recall(0) == KNOWN


def test_random_score_is_measured_once(trials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = probe_spaces(CONFIG.env)
    assert DenseArm(CONFIG, trials).random(spaces) == 10.0
    monkeypatch.setattr(dense_arm, "random_score", pytest.fail)
    assert DenseArm(CONFIG, trials).random(spaces) == 10.0
