"""The dense arm: runs of this compression, and those of earlier ones that need not be run again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.report.record.record import DenseSeed
from rlx2_ray.sweep.compression import dense_runs
from rlx2_ray.sweep.compression.dense_cache import DenseCache
from rlx2_ray.sweep.compression.dense_runs import DenseRuns
from tests.support.compression_envs import MODULE
from tests.support.runs import small_config

CONFIG = small_config(
    method="dense", sparsity__policy=0, sparsity__critic=0, env__id=f"{MODULE}:Indifferent-v0", steps=300
)
KNOWN = DenseSeed(1, 40.0, ((100, 30.0), (200, 50.0)), cached=True)
OWN = DenseSeed(0, 70.0, ((100, 3.0),), cached=False)


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
    DenseCache(CONFIG).store(KNOWN)
    runs = DenseRuns(CONFIG, trials)
    assert (runs.recall(0), runs.recall(1)) == (None, KNOWN)
    assert (runs.seeds, runs.cached) == ({1: KNOWN}, 1)


@pytest.mark.parametrize("score", [None, 70.0])
def test_run_that_was_begun_here_is_not_taken_from_the_cache(score: float | None, trials: Path) -> None:
    """Or a resumed compression would take its own runs for those of another, which cost nothing."""
    DenseCache(CONFIG).store(KNOWN)
    write_run(trials, 1, score)
    runs = DenseRuns(CONFIG, trials)
    assert runs.recall(1) is None
    assert runs.cached == 0


def test_run_is_kept_for_later_compressions(trials: Path) -> None:
    write_run(trials, 0, 70.0)
    runs = DenseRuns(CONFIG, trials)
    runs.keep(0)
    assert runs.seeds == {0: OWN}
    assert DenseCache(CONFIG).load(0) == replace(OWN, cached=True)


def test_run_that_came_to_nothing_is_not_kept(trials: Path) -> None:
    write_run(trials, 0, None)
    runs = DenseRuns(CONFIG, trials)
    runs.keep(0)
    runs.keep(1)
    assert runs.seeds == {}


def test_run_of_the_cache_is_not_stored_again(trials: Path) -> None:
    DenseCache(CONFIG).store(KNOWN)
    runs = DenseRuns(CONFIG, trials)
    runs.recall(1)
    runs.keep(1)
    assert runs.seeds == {1: KNOWN}


def test_what_the_record_says_is_remembered_though_the_cache_is_gone(trials: Path) -> None:
    runs = DenseRuns(CONFIG, trials, [KNOWN, OWN])
    assert runs.seeds == {1: KNOWN}
    assert (runs.recall(1), runs.recall(0)) == (KNOWN, None)


def test_random_score_is_measured_once(trials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = probe_spaces(CONFIG.env)
    assert DenseRuns(CONFIG, trials).random(spaces) == 10.0
    monkeypatch.setattr(dense_runs, "random_score", pytest.fail)
    assert DenseRuns(CONFIG, trials).random(spaces) == 10.0
