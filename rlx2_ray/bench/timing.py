"""Times of several ways to do the same, in turns, so that a machine whose speed drifts does not favour one of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

ROUNDS = 25
ROUND_S = 0.03  # of each contestant; long against a call, short against the machine's drift


class Timing(NamedTuple):
    microseconds: float  # a call, median over rounds
    spread: float  # half of the range that holds the middle half of the rounds, over the median


class Timings(NamedTuple):
    calls: dict[str, Timing]
    rounds: dict[str, list[float]]  # microseconds a call of each round

    def ratio(self, slow: str, fast: str) -> float:
        """Returns how many times faster `fast` is: the median over rounds, in each of which both took their turn."""
        return statistics.median(one / other for one, other in zip(self.rounds[slow], self.rounds[fast], strict=True))


def time_in_turns(contestants: Mapping[str, Callable[[], object]], multiple: int = 1, rounds: int = ROUNDS) -> Timings:
    """Calls each contestant for about `ROUND_S`, in turns; the calls of a round are a multiple of `multiple`."""
    counts = {name: _count(call, multiple) for name, call in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            times[name].append(_time(call, counts[name]) / counts[name] * 1e6)
    return Timings({name: _summarise(values) for name, values in times.items()}, times)


def _count(call: Callable[[], object], multiple: int) -> int:
    """Calls that fill a round. The first calls, which may compile or allocate, are not counted."""
    _time(call, 2 * multiple)
    each = min(_time(call, multiple) / multiple for _ in range(3))
    return max(1, round(ROUND_S / each / multiple)) * multiple


def _time(call: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - started


def _summarise(values: list[float]) -> Timing:
    low, middle, high = statistics.quantiles(values, n=4)
    return Timing(middle, (high - low) / 2 / middle)
