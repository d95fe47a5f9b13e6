"""A policy as this program's own file: active weights and their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlx2_ray.experiment.playback import Playable, find_policy, playable
from rlx2_ray.export.check import check, random_observations
from rlx2_ray.export.identity import describe_numbers
from rlx2_ray.export.placing import placing
from rlx2_ray.networks.policy import densify
from rlx2_ray.networks.policy_file import PolicyFile, load_policy, save_policy


def write(policy: PolicyFile, out: Path) -> dict[str, Any]:
    """Writes the file, and returns how closely it acts as the policy."""
    with placing([out]) as aside:
        file = aside / out.name
        save_policy(file, policy._replace(about=policy.about | describe_numbers(policy)))
        acting = playable(load_policy(file)).policy
        inputs = policy.normalization
        observations = random_observations(policy.spaces.observation_size, normalization=inputs)
        checked = check(acting, densify(policy.layers), "numpy", observations, normalization=inputs)
        return {"check": checked._asdict()}


@contextmanager
def load(path: Path, warn: Callable[[str], None], best: bool = False) -> Iterator[Playable]:
    """Returns the policy of a file, or of a run's directory. Raises BadInput where there is none."""
    yield playable(find_policy(path, warn, best))
