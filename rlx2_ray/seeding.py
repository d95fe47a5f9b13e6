"""Named, independent random streams from one seed, whose state can be written as JSON.

Every consumer of randomness has its own stream, so adding one (another lane, a longer evaluation) never shifts another.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np


def make_generator(seed: int, name: str, *indices: int) -> np.random.Generator:
    """A generator that depends on (seed, name, indices) alone. All streams of one name have as many indices."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, name, *indices)))


def derive_seed(seed: int, name: str, *indices: int) -> int:
    """An integer in [0, 2**31) for libraries that want one, e.g. `env.reset(seed=...)`."""
    return int(_sequence(seed, name, *indices).generate_state(1, np.uint32)[0] >> 1)


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The generator's state as JSON-ready values."""
    return dict(generator.bit_generator.state)


def restore_generator(state: dict[str, Any]) -> np.random.Generator:
    """The inverse of `generator_state`. Raises ValueError for what is no such state."""
    bit_generator = np.random.PCG64()
    try:
        bit_generator.state = state  # type: ignore[assignment]
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ValueError("not the state of a generator") from None
    restored = np.random.Generator(bit_generator)
    # numpy takes some other types for numbers, and an even increment, with which numbers come again too soon.
    is_same = json.dumps(generator_state(restored), sort_keys=True) == json.dumps(state, sort_keys=True)
    if not is_same or state["has_uint32"] not in (0, 1) or state["state"]["inc"] % 2 == 0:
        raise ValueError("not the state of a generator")
    return restored


def _sequence(seed: int, name: str, *indices: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, zlib.crc32(name.encode()), *indices])
