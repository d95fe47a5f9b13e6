"""What the sections of the speed report share: the tasks, and where figures are kept."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

from benchmarks.places import ROOT

FIGURES = ROOT / "results" / "speed"


class Task(NamedTuple):
    env: str
    algo: str
    policy_sparsity: float
    critic_sparsity: float

    @property
    def options(self) -> list[str]:
        return [
            *("--env", self.env, "--algo", self.algo, "--method", "rlx2"),
            *("--policy-sparsity", str(self.policy_sparsity), "--critic-sparsity", str(self.critic_sparsity)),
        ]


# RLx2's sparsities (arXiv 2205.15043, table 2).
TASKS = (
    Task("Hopper-v5", "td3", 0.98, 0.95),
    Task("Walker2d-v5", "td3", 0.97, 0.95),
    Task("HalfCheetah-v5", "td3", 0.90, 0.85),
    Task("Ant-v5", "td3", 0.96, 0.88),
    Task("Hopper-v5", "sac", 0.98, 0.95),
    Task("Walker2d-v5", "sac", 0.90, 0.90),
    Task("HalfCheetah-v5", "sac", 0.90, 0.80),
    Task("Ant-v5", "sac", 0.90, 0.75),
)


def bench(kind: str, task: Task, *more: str) -> dict[str, Any]:
    """The object that `rlx2 bench KIND --json` prints."""
    return last_json([sys.executable, "-m", "rlx2_ray", "bench", kind, *task.options, *more, "--json"])


def last_json(command: list[str]) -> dict[str, Any]:
    """The JSON object on the last line of what a command prints."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    content: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return content


def keep(section: str, figures: Any) -> None:
    FIGURES.mkdir(parents=True, exist_ok=True)
    (FIGURES / f"{section}.json").write_text(json.dumps(figures, indent=1) + "\n")


def kept(section: str) -> Any:
    return json.loads((FIGURES / f"{section}.json").read_text())
