"""Nodes with another version of the package, or without the storage, are named before anything is spread over them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.local_cluster import DRIVER_VARIABLES, LocalCluster, local_cluster
from tests.support.runs import ROOT, check_gone

# The driver as one of another version, or as one whose storage no other node has: no mark of it is left where it says.
CHECK = """
import sys
from pathlib import Path
from rlx2_ray.distributed import nodes
from rlx2_ray.distributed.cluster import running_ray
from rlx2_ray.types import BadInput

if sys.argv[2] == "version":
    nodes._version = lambda: "0.0.1"
if sys.argv[2] == "storage":
    make = nodes._mark_in
    def unseen(folder):
        mark = make(folder)
        Path(mark.name).rename(f"{mark.name}-elsewhere")
        mark._closer.close_called = True
        return mark
    nodes._mark_in = unseen
outcome = "fine"
try:
    with running_ray(sys.argv[1], [Path(sys.argv[3])]):
        pass
except BadInput as error:
    outcome = str(error)
print(outcome)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster(1, [1]) as cluster:
        yield cluster
    check_gone(cluster.seen, seconds=20)


def outcome(cluster: LocalCluster, case: str, folder: Path) -> str:
    command = [sys.executable, "-W", "ignore", "-c", CHECK, cluster.address, case, str(folder)]
    variables = os.environ | DRIVER_VARIABLES | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nodes_that_are_alike_are_fine_and_nothing_is_left_in_the_storage(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    assert outcome(cluster, "", tmp_path / "to" / "be" / "made") == "fine"
    assert list(tmp_path.iterdir()) == []


def test_other_version_is_named(cluster: LocalCluster, tmp_path: Path) -> None:
    sentence = outcome(cluster, "version", tmp_path)
    assert sentence.startswith("Node 127.0.0.1 has rlx2_ray ")
    assert sentence.endswith(", and this one has 0.0.1: 'ray up' installs the same one on all nodes.")


def test_storage_that_a_node_does_not_see_is_named(cluster: LocalCluster, tmp_path: Path) -> None:
    assert outcome(cluster, "storage", tmp_path) == (
        f"Node 127.0.0.1 does not see {tmp_path}: give a folder on storage that all nodes share, with RLX2_STORAGE or "
        "--out, and for --tracking-uri a server."
    )
