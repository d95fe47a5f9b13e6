"""What uniformly random actions score in gymnasium's environments: rlx2_ray/report/assets/random_scores.yaml.

`python -m benchmarks.random_scores` measures those that the file names, and writes it anew; some minutes.
"""

from __future__ import annotations

from pathlib import Path

import rlx2_ray
from rlx2_ray.config import resolve
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.random_policy import EPISODES, random_score

FILE = Path(rlx2_ray.__file__).parent / "report/assets/random_scores.yaml"
ENVIRONMENTS = (
    *(f"{name}-v5" for name in ("Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "InvertedPendulum")),
    *(f"{name}-v5" for name in ("InvertedDoublePendulum", "Pusher", "Reacher", "Swimmer", "Walker2d")),
    *("MountainCarContinuous-v0", "Pendulum-v1"),
)


def measured(env_id: str) -> float:
    """The score of random actions in an environment as gymnasium makes it."""
    config = resolve({"env": {"id": env_id}})
    return random_score(config, probe_spaces(config.env))


def main() -> None:
    """Measure them all."""
    lines = [f"# Mean return of {EPISODES} episodes of uniformly random actions: python -m benchmarks.random_scores"]
    lines += [f"{env_id}: {measured(env_id)!r}" for env_id in sorted(ENVIRONMENTS)]
    FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
