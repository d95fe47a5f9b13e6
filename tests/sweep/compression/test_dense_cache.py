"""The cache of dense runs: what its key depends on, and files that are damaged, absent, or written by two at once."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from rlx2_ray.report.record.record import DenseSeed
from rlx2_ray.sweep.compression import dense_cache
from rlx2_ray.sweep.compression.dense_cache import OF_DEPLOYED, PACKAGE, SOURCES, DenseCache, protocol_key
from tests.support.runs import Changes, environment, small_config

DENSE: Changes = {"method": "dense", "sparsity.policy": 0, "sparsity.critic": 0}
KNOWN = DenseSeed(3, 812.5, ((100, 4.25), (200, 812.5)), cached=True, deployed=840.25)


def key(**changes: Any) -> str:
    return protocol_key(small_config(**DENSE, **changes))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def cache(**changes: Any) -> DenseCache:
    return DenseCache(small_config(**DENSE, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"env__id": "InvertedDoublePendulum-v5"},
        {"env__kwargs": {"reset_noise_scale": 0.02}},
        {"steps": 601},
        {"algo": "sac"},
        {"engine": "torch"},
        {"network__hidden": [16, 17]},
        {"agent__learning_rate": 1e-5},
        {"agent__discount": 0.9},
        {"target__n_step": 2},
        {"replay__max_capacity": 5000},
        {"evaluation__interval": 50},
        {"evaluation__episodes": 2},
        {"runtime__kind": "actors"},
    ],
)
def test_key_changes_with_what_could_change_a_score(changes: Changes) -> None:
    assert key(**changes) != key()


@pytest.mark.parametrize(
    "changes", [{"seed": 7}, {"checkpoint__interval": 33}, {"checkpoint__keep": 9}, {"runtime__address": "host:6379"}]
)
def test_key_does_not_change_with_what_could_not(changes: Changes) -> None:
    assert key(**changes) == key()


@pytest.mark.parametrize("name", ["python", "torch", "gymnasium", "mujoco", "numpy", "numba", "scipy"])
def test_key_changes_with_the_version_of_a_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, versions = key(), dense_cache.installed_versions()
    monkeypatch.setattr(dense_cache, "installed_versions", lambda: {**versions, name: "9.9.9"})
    assert key() != before


def test_key_does_not_change_with_the_version_of_what_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before, versions = key(), dense_cache.installed_versions()
    monkeypatch.setattr(dense_cache, "installed_versions", lambda: {**versions, "mlflow": "9.9.9"})
    assert key() == before


def test_key_changes_with_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "networks" / "policy.py"
    file.parent.mkdir()
    file.write_text("GAIN = 1\n")
    monkeypatch.setattr(dense_cache, "_source_files", lambda: iter([file]))
    keys = set()
    for text in ("GAIN = 1\n", "GAIN = 2\n"):
        file.write_text(text)
        dense_cache.source_digest.cache_clear()
        keys.add(key())
    dense_cache.source_digest.cache_clear()
    assert len(keys) == 2


WITHOUT_EFFECT = (  # on what a dense run scores: files, displays, trackers, signals, the other score, consent, bytes
    "experiment", "experiment.deployed", "experiment.display", "experiment.interruption", "experiment.pace",
    "experiment.run", "files", "footprint", "footprint.compact", "footprint.quantize", "footprint.tables", "json_text",
    "plugin_copies", "plugins", "remembered", "runs", "strict", "tracking", "types",
)  # fmt: skip
PROGRAM = """
import sys, rlx2_ray.experiment.inline, rlx2_ray.agents.engines
print([name for name in sys.modules if name.startswith("rlx2_ray.")])
"""


def test_all_that_a_run_computes_with_is_among_the_sources() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment(), check=True
    )
    modules = {name.removeprefix("rlx2_ray.") for name in ast.literal_eval(done.stdout)}
    covered = {str(path.relative_to(PACKAGE)).removesuffix(".py").replace("/", ".") for path in source_files()}
    covered |= {name.removesuffix(".__init__") for name in covered}
    others = {name for name in modules - covered if not name.startswith(("runs.", "tracking."))}
    assert others - {*WITHOUT_EFFECT} == set()
    assert "runs.final_score" in modules & covered


def source_files() -> list[Path]:
    return list(dense_cache._source_files())


def test_every_source_exists() -> None:
    assert [name for name in (*SOURCES, *OF_DEPLOYED) if not (PACKAGE / name).exists()] == []
    assert PACKAGE / "experiment" / "inline.py" in source_files()
    assert PACKAGE / "networks" / "policy.py" in source_files()


# What is kept


def test_what_was_stored_is_loaded() -> None:
    assert cache().load(3) is None
    cache().store(KNOWN)
    assert cache().load(3) == KNOWN
    assert cache(seed=9).load(3) == KNOWN, "the seed of the configuration does not matter"
    assert cache().load(4) is None
    assert cache(steps=700).load(3) is None


def test_run_of_an_earlier_version_has_no_deployed_score() -> None:
    """Its file has score and curve alone, and still says these."""
    cache().store(KNOWN)
    file = cache().folder / "seed_3.json"
    content = json.loads(file.read_text())
    assert content.keys() == {"score", "curve", "deployed"}
    file.write_text(json.dumps({name: content[name] for name in ("score", "curve")}))
    assert cache().load(3) == replace(KNOWN, deployed=None)


def test_deployed_score_that_was_played_otherwise_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other score still is, which that does not change."""
    cache().store(KNOWN)
    monkeypatch.setattr(dense_cache, "deployed_digest", lambda: "0123456789abcdef")
    assert cache().load(3) == replace(KNOWN, deployed=None)
    cache().store(KNOWN)
    assert cache().load(3) == KNOWN


def test_run_that_was_not_played_is_stored_without() -> None:
    cache().store(replace(KNOWN, deployed=None))
    assert json.loads((cache().folder / "seed_3.json").read_text()).keys() == {"score", "curve"}
    assert cache().load(3) == replace(KNOWN, deployed=None)


def test_random_score_is_kept(folder: Path) -> None:
    assert cache().load_random() is None
    cache().store_random(5.25)
    assert cache().load_random() == 5.25
    assert sorted(path.name for path in cache().folder.iterdir()) == ["protocol.json", "random.json"]
    assert folder in cache().folder.parents


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", '{"score": 3}', '{"score": "x", "curve": []}', "\x00\xff"]
)
def test_damaged_file_is_as_if_it_were_not_there(text: str) -> None:
    cache().store(KNOWN)
    cache().store_random(1.0)
    (cache().folder / "seed_3.json").write_text(text)
    assert cache().load(3) is None
    (cache().folder / "random.json").write_text(text.replace("3", '"?"'))
    assert cache().load_random() is None
    cache().store(KNOWN)
    assert cache().load(3) == KNOWN


def test_cache_that_cannot_be_written_is_no_failure(folder: Path) -> None:
    (folder / "rlx2_ray").write_text("a file where the folder should be")
    cache().store(KNOWN)
    cache().store_random(1.0)
    assert (cache().load(3), cache().load_random()) == (None, None)


def write_often(shared: DenseCache, score: float) -> None:
    for _ in range(50):
        shared.store(DenseSeed(3, score, tuple((step, score) for step in range(300)), cached=False))


def test_two_writers_leave_one_whole_file() -> None:
    shared = cache()
    writers = [get_context("fork").Process(target=write_often, args=(shared, score)) for score in (1.0, 2.0)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if (shared.folder / "seed_3.json").exists():
            outcome = shared.load(3)
            assert outcome is not None, "never half a file"
            assert {value for _, value in outcome.curve} == {outcome.score}
            seen.add(outcome.score)
    assert seen <= {1.0, 2.0}
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert sorted(path.name for path in shared.folder.iterdir()) == ["protocol.json", "seed_3.json"]
