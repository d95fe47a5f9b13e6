"""`rlx2 bench replay` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.runs import rlx2

TRANSITIONS = 20_000


@pytest.mark.slow
def test_bench_replay(tmp_path: Path) -> None:
    done = rlx2("bench", "replay", "--env", "Hopper-v5", "--transitions", str(TRANSITIONS), "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout.splitlines()[-1])
    assert (content["env_id"], content["transitions"]) == ("Hopper-v5", TRANSITIONS)
    assert (content["batch_size"], content["n_step"], content["batches_per_chunk"]) == (256, 3, 64)
    row = 4 * (11 + 3 + 1) + 4 * 3 + 1 + 8
    assert row < content["used_memory_bytes"] < 1.1 * row
    assert content["used_memory_bytes"] <= content["memory_bytes"] < 2 * row
    assert content["flat_memory_bytes"] == 4 * (2 * 11 + 3 + 3)
    assert row < content["disk_bytes"] < 1.1 * row
    assert content["ratio_vs_flat"] == pytest.approx(content["flat_sample_us"] / content["sample_1_step_us"], rel=0.5)
    assert [one["shards"] for one in content["shards"]] == [1, 4]
    for one in content["shards"]:
        assert all(value > 0 for value in one.values())
        assert one["insert_transitions_per_s"] == pytest.approx(32 * one["insert_calls_per_s"])
        assert one["batches_per_s"] == pytest.approx(64 * one["chunks_per_s"])
    assert 0 < content["caller"]["pss_bytes"] <= content["caller"]["rss_bytes"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_bench_replay_prints_tables(tmp_path: Path) -> None:
    done = rlx2("bench", "replay", "--env", "InvertedPendulum-v5", "--transitions", "10000", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in ("flat ring", "snapshot", "4 shards", "batches a second", "times as fast"):
        assert words in done.stdout
