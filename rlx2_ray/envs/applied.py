"""What is said of the wrappers of an environment, without making it, which would load gymnasium."""

from __future__ import annotations

from typing import NamedTuple

from rlx2_ray.config import EnvConfig


class Part(NamedTuple):
    """Where the numbers of a flat observation come from, in their order."""

    key: str  # of a Dict, or the number of a Tuple's part; joined by dots where they are nested
    size: int


def applied(config: EnvConfig) -> list[str]:
    """What the configuration puts around an environment, each in one sentence."""
    sentences, times, limit = [], config.action_repeat, config.time_limit
    if times > 1:
        sentences.append(f"env.action_repeat {times}: each action is taken {times} times, and its rewards are summed")
    if limit is not None:
        actions = f", {-(-limit // times)} actions" if times > 1 else ""
        sentences.append(f"env.time_limit {limit}: an episode is truncated after {limit} steps{actions}")
    return sentences
