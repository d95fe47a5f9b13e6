"""Decisions over the union of shards: how much of a batch each gives, and what is oldest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Floats, Indices


def draw_shares(
    sizes: Sequence[int], batch_size: int, batches: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """(batches, shards) numbers of windows; drawn so that every transition of the union is equally likely."""
    probabilities = np.asarray(sizes, dtype=np.float64) / sum(sizes)
    return generator.multinomial(batch_size, probabilities, size=batches)


def oldest_of_union(parts: Sequence[tuple[Floats, Floats, Indices]], count: int) -> tuple[Floats, Floats, Indices]:
    """Observations, policy actions and times of the `count` oldest of all shards' oldest transitions."""
    observations, actions, times = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    chosen = np.argsort(times, kind="stable")[:count]
    return observations[chosen], actions[chosen], times[chosen]


def time_after(times: Sequence[Indices], count: int) -> int:
    """The time before which the `count` oldest of the union lie. `times`: of each shard's count oldest."""
    oldest = np.sort(np.concatenate(times))[:count]
    return int(oldest[-1]) + 1 if len(oldest) else 0
