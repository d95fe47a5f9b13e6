"""What reports know of gymnasium's environments without making them: rlx2_ray/report/assets/environments.yaml.

`python -m benchmarks.environments` plays random actions in each, and writes the file anew; some minutes.
"""

from __future__ import annotations

from pathlib import Path

import rlx2_ray
from rlx2_ray.config import resolve
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment.random_policy import EPISODES, random_score
from rlx2_ray.report.analysis.environments import Known

FILE = Path(rlx2_ray.__file__).parent / "report/assets/environments.yaml"
ENVIRONMENTS = (
    *(f"{name}-v5" for name in ("Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "InvertedPendulum")),
    *(f"{name}-v5" for name in ("InvertedDoublePendulum", "Pusher", "Reacher", "Swimmer", "Walker2d")),
    *("MountainCarContinuous-v0", "Pendulum-v1"),
)


def measured(env_id: str) -> Known:
    """The score of random actions in an environment as gymnasium makes it, and its sizes."""
    config = resolve({"env": {"id": env_id}})
    spaces = probe_spaces(config.env)
    return Known(random_score(config, spaces), spaces.observation_size, spaces.action_size)


def main() -> None:
    """Measure them all."""
    lines = [
        f"# random_score: mean return of {EPISODES} episodes of uniformly random actions. Written by",
        "# python -m benchmarks.environments",
    ]
    for env_id in sorted(ENVIRONMENTS):
        fields = ", ".join(f"{name}: {value!r}" for name, value in measured(env_id)._asdict().items())
        lines.append(f"{env_id}: {{{fields}}}")
    FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
