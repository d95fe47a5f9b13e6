"""What a cluster says to who wants to join it: a head on loopback that asks for a token."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rlx2_ray.distributed import head as head_module
from rlx2_ray.distributed.head import check_head
from rlx2_ray.types import BadInput
from tests.support.runs import ROOT, check_gone
from tests.tracking.test_tracker import free_port

TOKEN = "a" * 64
JOIN = """
import sys
import ray
from rlx2_ray.distributed.cluster import cluster_cpus, running_ray
from rlx2_ray.types import BadInput

ray.__version__ = sys.argv[2] or ray.__version__
try:
    with running_ray(sys.argv[1], []):
        cpus = cluster_cpus()
    print(f"joined {cpus}")
except BadInput as error:
    print(error)
"""


def variables(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    return kept | own | {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "PYTHONPATH": str(ROOT)} | changes


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """Address of a head with 3 CPUs."""
    port = free_port()
    script = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
    options = ["--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=3"]
    command = [sys.executable, "-c", script, "start", *options, "--include-dashboard=false"]
    process = subprocess.Popen(command, env=variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    started = False
    family: set[psutil.Process] = set()
    try:
        assert process.stdout is not None
        started = any("Ray runtime started" in line for line in process.stdout)
        family = set(psutil.Process(process.pid).children(recursive=True))
        assert started
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
        check_gone(family, seconds=30)


def join(address: str, version: str = "", **changes: str) -> str:
    """What a process that joins prints; it ends in order, whatever the cluster answers."""
    command = [sys.executable, "-W", "ignore", "-c", JOIN, address, version]
    done = subprocess.run(command, env=variables(**changes), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_who_has_the_token_joins(head: str) -> None:
    assert join(head) == "joined 3"


@pytest.mark.parametrize(
    "changes", [{"RAY_AUTH_TOKEN": "b" * 64}, {"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "", "HOME": "/nowhere"}]
)
def test_who_has_not_is_refused(head: str, changes: dict[str, str]) -> None:
    sentence = join(head, **changes)
    assert sentence.startswith(f"runtime.address is {head}, whose cluster does not know the token of this process: ")
    assert sentence.endswith("~/.ray/auth_token or RAY_AUTH_TOKEN.")
    assert "\n" not in sentence


def test_other_version_of_ray_is_named(head: str) -> None:
    sentence = join(head, "2.1.0")
    assert sentence.startswith(f"runtime.address is {head}, a cluster of Ray 2.60.0 on Python 3.11")
    assert "and this is Ray 2.1.0 on" in sentence
    assert "\n" not in sentence


def test_machine_that_is_no_node_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would abort the process there."""
    monkeypatch.setattr(head_module, "_node_sockets", lambda address: [Path("/nowhere/raylet")])
    with pytest.raises(BadInput, match=r"10\.0\.0\.1:6379, and this machine is no node of that cluster: run the"):
        check_head("10.0.0.1:6379")


def test_port_where_nobody_listens_is_no_cluster() -> None:
    with pytest.raises(BadInput, match="where no Ray cluster answers"):
        check_head(f"127.0.0.1:{free_port()}")
