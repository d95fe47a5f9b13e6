"""Random numbers by counter: a function of (seed, stream, counter) alone, on any device, with no state to keep.

Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", doi 10.1145/2063384.2063405): ten
rounds turn a counter of four words and a key of two into four words that pass every test of randomness. A member's
numbers so depend neither on the slot that it is in nor on who else is there, and a resumed member draws what it would
have drawn.

Words of 32 bits are held in int64, whose products wrap at 64 bits; what a shift to the right drags in is masked away.

Shapes: P slots, N numbers.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.types import Indices

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # what the key grows by in each round
MASK = 0xFFFFFFFF
MOST = 2**25  # numbers that one is drawn from: 38 random bits times so many still fit into 63


def key_of(seed: int, stream: str) -> Indices:
    """The key (2,) of one stream of a seed."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(stream.encode())])
    return sequence.generate_state(2, np.uint32).astype(np.int64)


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Four words for every counter; all arguments are int64 tensors of words that broadcast."""
    first, second, third, fourth = counter
    low, high = key
    for _ in range(ROUNDS):
        one, other = first * MULTIPLIERS[0], third * MULTIPLIERS[1]
        first, second, third, fourth = (
            ((other >> 32) & MASK) ^ second ^ low,
            other & MASK,
            ((one >> 32) & MASK) ^ fourth ^ high,
            one & MASK,
        )
        low, high = (low + WEYL[0]) & MASK, (high + WEYL[1]) & MASK
    return first, second, third, fourth


def words(keys: Tensor, counters: Tensor, count: int, part: int = 0) -> Tensor:
    """(P, 4, count) words of the P streams with `keys` (P, 2) at their `counters` (P,), each with 2^32 parts."""
    number = torch.arange(count, device=keys.device).unsqueeze(0)
    at = counters.unsqueeze(1)
    drawn = philox(
        (number, at & MASK, at >> 32, torch.full_like(at, part)),
        (keys[:, :1].expand(-1, count), keys[:, 1:].expand(-1, count)),
    )
    return torch.stack(drawn, 1)


def below(keys: Tensor, counters: Tensor, sizes: Tensor, count: int) -> Tensor:
    """(P, count) whole numbers, uniform in [0, sizes) with `sizes` (P,) of at most MOST: floor(u * size), u of 38 bits.

    No number is likelier than another by more than size / 2^38. Of an empty range the number is 0.
    """
    drawn = words(keys, counters, -(-count // 2))
    bits = (drawn[:, :2] << 6 | drawn[:, 2:] >> 26).flatten(1)[:, :count]
    return (bits * sizes.unsqueeze(1)) >> 38


def normals(keys: Tensor, counters: Tensor, count: int, part: int = 0) -> Tensor:
    """(P, count) standard normal float32 numbers (Box & Muller 1958, doi 10.1214/aoms/1177706645), of 24 bits each."""
    drawn = (words(keys, counters, -(-count // 4), part) >> 8).to(torch.float32) * 2.0**-24
    radius = (-2 * (drawn[:, :2] + 2.0**-24).log()).sqrt()  # of numbers in (0, 1]
    angle = 2 * math.pi * drawn[:, 2:]
    return torch.cat([radius * angle.cos(), radius * angle.sin()], 1).flatten(1)[:, :count]
