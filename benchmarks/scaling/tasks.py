"""What is scaled: the MuJoCo tasks, at the paper's sparsities for TD3 where it has them."""

from __future__ import annotations

from benchmarks.speed.common import TASKS as SPEED_TASKS
from benchmarks.speed.common import Task
from rlx2_ray.config import ExperimentConfig, resolve

TASKS = (
    Task("InvertedPendulum-v5", "td3", 0.90, 0.80),  # of our own tune_configs/inverted_pendulum.yaml
    *(task for task in SPEED_TASKS if task.algo == "td3"),
    Task("Humanoid-v5", "td3", 0.96, 0.88),  # Ant's: the paper has none
)


def make_config(task: Task) -> ExperimentConfig:
    """Windows have their full length from the first update on."""
    return resolve(
        {
            "env": {"id": task.env},
            "algo": task.algo,
            "sparsity": {"policy": task.policy_sparsity, "critic": task.critic_sparsity},
            "target": {"n_step_start": 0},
        }
    )
