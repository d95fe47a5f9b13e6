"""How the driver waits for actors: it says what it waits for, hears a wish to stop, and gives up in the end.

Ray itself waits for ever, also for what will never come: an actor whose node's own process (the raylet) has died, one
that hangs, one that finds no place.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ray

from rlx2_ray.distributed.cluster import Unreachable, check_own_ray
from rlx2_ray.experiment.interruption import StopAsked

TICK_S = 0.5
STALL_S = 60.0  # without anything done, after which the user is told
ANSWER_S = 600.0  # of an actor that is there
PLACE_S = 3600.0  # until an actor is there: a cluster may have to start a machine first
STOP_S = 3.0  # from the wish to stop, so that all is over in ten seconds
NO_PLACE = "If actors wait for a place, give the cluster more CPUs ('ray status')."


class Patience:
    def __init__(self, say: Callable[[str], None], stop_is_wished: Callable[[], bool]) -> None:
        self._say = say
        self._stop_is_wished = stop_is_wished

    def get(self, references: Any, who: str, limit_s: float = ANSWER_S, stop_s: float = STOP_S) -> Any:
        """The value of a reference, or the values of several.

        Raises Unreachable where `who` does not answer in time, StopAsked where that is `stop_s` after a wish to stop.
        """
        pending = references if isinstance(references, list) else [references]
        began, wait = time.monotonic(), Wait(self._say)
        stop_began: float | None = None
        while pending:
            _, pending = ray.wait(pending, num_returns=len(pending), timeout=TICK_S)
            if not pending:
                break
            check_own_ray()
            wait.say_stalled(who)
            now = time.monotonic()
            if self._stop_is_wished():
                stop_began = stop_began or now
                if now - stop_began > stop_s:
                    raise StopAsked
            if now - began > limit_s:
                raise unanswered(who, limit_s)
        return ray.get(references)


class Wait:
    """Time that passes without anything done."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.done()

    def done(self) -> None:
        """Something is done: the time begins anew."""
        self._began = self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say_stalled(self, awaited: str) -> None:
        """Tell the user what is waited for, once in a while."""
        if time.monotonic() - self._said > STALL_S:
            self._say(f"Nothing was done for {self.seconds:.0f} s; calls to {awaited} are waited for. {NO_PLACE}")
            self._said = time.monotonic()


def unanswered(who: str, limit_s: float) -> Unreachable:
    return Unreachable(f"The {who} did not answer for {limit_s:.0f} s")
