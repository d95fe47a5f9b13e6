"""How fast a run or many runs get on, as it was in the latest minutes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

WINDOW_S = 300.0  # long enough for evaluations and checkpoints to be in it


class Pace:
    """Of one run: what it did within the window, from the first time that it was heard of."""

    def __init__(self) -> None:
        self._heard: deque[tuple[float, int]] = deque()  # moment, env steps

    def hear(self, env_steps: int, now: float) -> None:
        """`now` is in seconds, and never goes back; a run may, to its last checkpoint, and begins anew then."""
        if self._heard and env_steps < self._heard[-1][1]:
            self._heard.clear()
        self._heard.append((now, env_steps))
        while len(self._heard) > 2 and self._heard[1][0] <= now - WINDOW_S:
            self._heard.popleft()

    @property
    def rate(self) -> float | None:
        """Env steps a second up to the latest time; None before the second."""
        if len(self._heard) < 2:
            return None
        (since, before), (until, last) = self._heard[0], self._heard[-1]
        return (last - before) / max(until - since, 1e-9)


def rate_of(paces: Iterable[Pace]) -> float | None:
    """The rate of runs beside each other; one that was heard of once only is taken to be as fast as the others."""
    rates = [pace.rate for pace in paces]
    known = [rate for rate in rates if rate is not None]
    return sum(known) / len(known) * len(rates) if known else None
