"""The dense arm: runs of this compression, and those of earlier ones that need not be run again."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.report.record.record import DenseSeed
from rlx2_ray.runs import archive
from rlx2_ray.runs.directory import RunDirectory, Tracking, describe_evaluations
from rlx2_ray.sweep.compression import dense_runs
from rlx2_ray.sweep.compression.dense_cache import DenseCache
from rlx2_ray.sweep.compression.dense_runs import DenseRuns
from tests.support import runs as made
from tests.support.compression_envs import MODULE
from tests.support.runs import RESULT, made_point, small_config

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


PLAYED = replace(KNOWN, deployed=45.0)


def write_run(trials: Path, seed: int, score: float | None, deployed: float | None = None) -> None:
    """None: it has begun, and not ended; or it was not played."""
    folder = trials / f"dense-s{seed}"
    folder.mkdir()
    (folder / "progress.jsonl").write_text(json.dumps(made_point(100, 3.0)) + "\n")
    if score is not None:
        played = {} if deployed is None else {"deployed": made.PLAYED | {"return_mean": deployed}}
        (folder / "result.json").write_text(json.dumps({**RESULT, "score": score, **played}))


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
    assert DenseRuns(CONFIG, trials).random(spaces, pytest.fail) == 10.0
    monkeypatch.setattr(dense_runs, "random_score", pytest.fail)
    assert DenseRuns(CONFIG, trials).random(spaces, pytest.fail) == 10.0


# The score that decides


def test_run_without_the_score_that_decides_is_run_again(trials: Path) -> None:
    """And is kept with both from then on."""
    DenseCache(CONFIG).store(KNOWN)
    runs = DenseRuns(CONFIG, trials, score="deployed")
    assert (runs.recall(1), runs.recall(2), runs.lacking, runs.cached) == (None, None, {1}, 0)
    write_run(trials, 1, 40.0, deployed=44.0)
    runs.keep(1)
    assert runs.seeds[1].by("deployed") == 44.0
    later = DenseCache(CONFIG).load(1)
    assert later is not None
    assert (later.score, later.deployed) == (40.0, 44.0)


def test_run_with_both_scores_serves_either(trials: Path) -> None:
    DenseCache(CONFIG).store(PLAYED)
    for score in ("final", "deployed"):
        runs = DenseRuns(CONFIG, trials, score=score)
        assert (runs.recall(1), runs.lacking) == (PLAYED, set())


def test_what_the_record_says_does_not_serve_where_another_score_decides_now(trials: Path) -> None:
    runs = DenseRuns(CONFIG, trials, [KNOWN, replace(PLAYED, seed=2)], score="deployed")
    assert (runs.seeds.keys(), runs.lacking, runs.recall(1)) == ({2}, {1}, None)


# Those of an archive


def archived(folder: Path, seed: int, deployed: float | None, **more: Any) -> Path:
    """The file of a finished dense run."""
    config = CONFIG.model_copy(update={"seed": seed})
    with closing(RunDirectory(folder.parent / f"run{seed}")) as directory:
        directory.create(config, Tracking("sqlite:///mlflow.db", "tests"))
    points = [made_point(step, 50.0) for step in (100, 200, 300)]
    directory.progress_file.write_text("".join(json.dumps(point) + "\n" for point in points))
    played = None if deployed is None else {"env_steps": 100, "return_mean": deployed, "return_std": 1.0, "episodes": 2}
    result = {
        **RESULT,
        "score": 50.0,
        "deployed": played,
        "env_steps": 300,
        "evaluations": describe_evaluations(points),
    }
    directory.write_result(result | more)
    return archive.add(directory.path, folder)


def test_archived_run_is_not_run_again(trials: Path, tmp_path: Path) -> None:
    file = archived(tmp_path / "archive", 2, 55.0)
    runs = DenseRuns(CONFIG, trials, archive=tmp_path / "archive")
    curve = ((100, 50.0), (200, 50.0), (300, 50.0))
    assert runs.recall(2) == DenseSeed(2, 50.0, curve, cached=True, deployed=55.0, file=file.name)
    assert (runs.recall(3), runs.cached) == (None, 1)


def test_archived_run_that_was_not_played_serves_the_final_score_alone(trials: Path, tmp_path: Path) -> None:
    archived(tmp_path / "archive", 2, None)
    assert DenseRuns(CONFIG, trials, archive=tmp_path / "archive").recall(2) is not None
    runs = DenseRuns(CONFIG, trials, score="deployed", archive=tmp_path / "archive")
    assert (runs.recall(2), runs.lacking) == (None, {2})


def test_archived_run_has_what_the_cache_lacks(trials: Path, tmp_path: Path) -> None:
    DenseCache(CONFIG).store(KNOWN)
    archived(tmp_path / "archive", 1, 55.0)
    runs = DenseRuns(CONFIG, trials, score="deployed", archive=tmp_path / "archive")
    found = runs.recall(1)
    assert found is not None
    assert (found.score, found.deployed, runs.lacking) == (50.0, 55.0, set())


def test_archived_run_that_was_stopped_early_is_no_dense_run(trials: Path, tmp_path: Path) -> None:
    archived(tmp_path / "archive", 2, 55.0, ended_early=True)
    assert DenseRuns(CONFIG, trials, archive=tmp_path / "archive").recall(2) is None
