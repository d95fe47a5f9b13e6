"""A run on a cluster of several nodes goes on when one of them dies with all that is on it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.local_cluster import DRIVER_VARIABLES, LocalCluster, local_cluster
from tests.distributed.test_faults import CALL_STEPS, IN_FLIGHT, ROLLOUTS, RUN, WORKERS, faults_of, named_in
from tests.support.runs import (
    check_gone,
    check_points,
    checkpoint_names,
    compile_kernels,
    database_uri,
    ended,
    points_there,
    said,
    small_arguments,
    small_config,
    start_rlx2,
    wait_for,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Three nodes: the driver's, and two of which each has room for all the actors of a run."""
    with local_cluster(0, [6, 6]) as cluster:
        yield cluster
    check_gone(cluster.seen, seconds=20)


def start(cluster: LocalCluster, directory: Path, **changes: Any) -> subprocess.Popen[str]:
    """A run on the cluster; its directory is given relative to a folder in which the actors do not work."""
    compile_kernels()
    arguments = small_arguments(**RUN | changes | {"runtime.address": cluster.address})
    output = ["--out", directory.name, "--tracking-uri", database_uri(directory.parent)]
    return start_rlx2("train", *output, *arguments, folder=directory.parent, **DRIVER_VARIABLES)


def check_complete(directory: Path, process: subprocess.Popen[str], error: str) -> dict[str, float]:
    """The run has done all that was asked; returns its faults."""
    assert process.returncode == 0, error
    result, config = json.loads((directory / "result.json").read_text()), small_config(**RUN)
    assert (result["env_steps"], result["learner_steps"]) == (config.steps, config.planned_updates)
    check_points(directory, [*range(500, config.steps, 500), config.steps])
    assert set(map(named_in, said(error))) <= set(WORKERS)
    return faults_of(directory)


def count_actors(cluster: LocalCluster, node: Any) -> dict[str, int]:
    return {kind: len(cluster.actors_on(node, worker)) for kind, worker in WORKERS.items()}


@pytest.mark.parametrize("has_learner", [True, False])
def test_run_outlives_the_death_of_a_node(has_learner: bool, cluster: LocalCluster, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start(cluster, directory, **{"runtime.shard_placement": "spread"})) as process:
        wait_for(points_there(directory, 3), process)
        by_learner = {count_actors(cluster, node)["learner"] == 1: node for node in cluster.nodes}
        lost = count_actors(cluster, by_learner[has_learner])
        assert lost["shard"] == 1, "the shards are spread"
        cluster.kill_node(by_learner[has_learner])
        _, error = process.communicate(timeout=100)
    faults = check_complete(directory, process, error)
    deaths = {kind: faults.get(f"faults/{kind}_deaths", 0) for kind in WORKERS}
    # What a node takes with it may be waited for elsewhere, so that an actor's work may be lost without the actor.
    assert all(lost[kind] <= deaths[kind] for kind in WORKERS), (lost, deaths)
    assert deaths["shard"] == 1
    assert faults["faults/transitions_lost"] <= 400 + IN_FLIGHT + CALL_STEPS * ROLLOUTS


def test_shards_near_the_learner_are_on_its_node(cluster: LocalCluster, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    with ended(start(cluster, directory)) as process:
        wait_for(points_there(directory, 1), process)
        placed = [count_actors(cluster, node) for node in cluster.nodes]
        _, error = process.communicate(timeout=100)
    assert check_complete(directory, process, error) == {}
    assert {(counts["learner"], counts["shard"]) for counts in placed} == {(1, 2), (0, 0)}
    replay = directory / "checkpoints" / checkpoint_names(directory)[-1] / "replay"
    assert sorted(path.name for path in replay.iterdir()) == ["shard0", "shard1"]
    wait_until_gone = time.monotonic() + 20
    while any(cluster.actors(worker) for worker in WORKERS.values()):
        assert time.monotonic() < wait_until_gone, "the run left actors on the cluster"
        time.sleep(0.1)
