"""Whole training on one core, ours and the peers' in turns: env steps a second."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.places import ROOT
from benchmarks.speed.common import TASKS, Task, last_json
from rlx2_ray.bench.train import training_speed
from rlx2_ray.config import resolve

PEERS = ("sb3", "sbx")
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PEER_SCRIPT = Path("benchmarks/peers/train_speed.py")
ENVIRONMENTS = ("Hopper-v5", "Ant-v5")
ROUNDS = 3
OUR_STEPS, PEER_STEPS = 6_000, 1_500


def measure(cpu: int) -> list[dict[str, Any]]:
    """Medians over rounds; a ratio is the median over rounds of the rates of that round."""
    return [measure_task(task, cpu) for task in TASKS if task.env in ENVIRONMENTS]


def measure_task(task: Task, cpu: int) -> dict[str, Any]:
    rounds = [measure_round(task, cpu) for _ in range(ROUNDS)]
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    ratios = {peer: statistics.median(one["ours"] / one[peer] for one in rounds) for peer in PEERS}
    return {"task": task._asdict(), "env_steps_per_s": medians, "ratios": ratios, "rounds": rounds}


def measure_round(task: Task, cpu: int) -> dict[str, float]:
    sparsity = {"policy": task.policy_sparsity, "critic": task.critic_sparsity}
    config = resolve({"env": {"id": task.env}, "algo": task.algo, "method": "rlx2", "sparsity": sparsity})
    return {"ours": training_speed(config, OUR_STEPS), **{peer: peer_speed(peer, task, cpu) for peer in PEERS}}


def peer_speed(peer: str, task: Task, cpu: int) -> float:
    command = [str(PEER_PYTHON), str(PEER_SCRIPT), "--peer", peer, "--algo", task.algo, "--env", task.env]
    rate: float = last_json([*command, "--steps", str(PEER_STEPS), "--cpu", str(cpu)])["env_steps_per_s"]
    return rate
