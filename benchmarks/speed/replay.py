"""The replay: ours by its own command, and the peers' in their environment."""

from __future__ import annotations

from typing import Any

from benchmarks.speed.common import TASKS, bench, last_json
from benchmarks.speed.training import PEER_PYTHON

ENVIRONMENT = "Hopper-v5"


def measure() -> dict[str, Any]:
    task = next(task for task in TASKS if task.env == ENVIRONMENT)
    return {**bench("replay", task), "task": task._asdict()}


def measure_peers(cpu: int) -> dict[str, Any]:
    command = [str(PEER_PYTHON), "-m", "benchmarks.peers.replay", "--env", ENVIRONMENT, "--cpu", str(cpu)]
    return last_json(command)
