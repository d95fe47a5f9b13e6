"""Decisions over the union of shards: how much of a batch each gives, and what is oldest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlx2_ray.types import Batch, Floats, Indices


def draw_shares(
    sizes: Sequence[int], batch_size: int, batches: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """(batches, shards) numbers of windows; drawn so that every transition of the union is equally likely."""
    probabilities = np.asarray(sizes, dtype=np.float64) / sum(sizes)
    return generator.multinomial(batch_size, probabilities, size=batches)


def split_batches(parts: Sequence[Batch | None], shares: NDArray[np.int64]) -> list[Batch]:
    """The batches, from what each shard sent for all of them together (None where it was asked for nothing).

    They lie in memory as `ReplayBuffer.sample` leaves them, whatever became of the parts on their way.
    """
    ends = np.cumsum(shares, axis=0)
    return [
        _join(
            [
                Batch(*(array[ends[row, shard] - shares[row, shard] : ends[row, shard]] for array in part))  # type: ignore[arg-type]
                for shard, part in enumerate(parts)
                if part is not None
            ]
        )
        for row in range(len(shares))
    ]


def _join(parts: Sequence[Batch]) -> Batch:
    return Batch(*(_join_arrays(arrays) for arrays in zip(*parts, strict=True)))


def _join_arrays(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """One after the other along the first axis, in fresh memory where that axis is the last."""
    inner = range(1, arrays[0].ndim)
    joined = np.empty((*arrays[0].shape[1:], sum([len(array) for array in arrays])), arrays[0].dtype)
    np.concatenate([array.transpose(*inner, 0) for array in arrays], axis=-1, out=joined)
    return joined.transpose(-1, *range(len(inner)))


def oldest_of_union(parts: Sequence[tuple[Floats, Floats, Indices]], count: int) -> tuple[Floats, Floats]:
    """Observations and policy actions of the `count` oldest of all shards' oldest transitions."""
    observations, actions, times = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    chosen = np.argsort(times, kind="stable")[:count]
    return observations[chosen], actions[chosen]


def evictions(times: Sequence[Indices], count: int) -> list[int]:
    """How many each shard drops so that the `count` oldest of the union go. `times`: each shard's oldest, sorted."""
    shard = np.repeat(np.arange(len(times)), [len(part) for part in times])
    order = np.argsort(np.concatenate(times), kind="stable")[:count]
    counts: list[int] = np.bincount(shard[order], minlength=len(times)).tolist()
    return counts
