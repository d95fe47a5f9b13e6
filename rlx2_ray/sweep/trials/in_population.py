"""A trial whose run has a slot of a population: the same points and the same result, from the actor that it lives in.

So Tune, which decides over a trial, has a process for each, and that needs neither torch nor a kernel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import ray
from ray.exceptions import ActorUnavailableError, RayActorError

from rlx2_ray.runs.parts import Point
from rlx2_ray.sweep.trials.job import Plan
from rlx2_ray.types import RunFailed

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from rlx2_ray.experiment.run import Training

PATIENCE_S = 300.0  # for a population whose process has ended, until there is another one
PAUSE_S = 0.5
REPLACED = "The process of its population ended: it goes on in the next one."


class Ended(NamedTuple):
    """A run has ended, with this result."""

    result: dict[str, Any]


class Failed(NamedTuple):
    """A run has failed, for what an exception of this program's own says."""

    kind: type[Exception]
    text: str


News = Point | Ended | Failed


def training_in(populations: Sequence[ActorHandle], plan: Plan) -> Training:
    """The run of a plan, in that of these which has most room: begun or gone on with, and left at the end."""
    try:
        population = _patiently(lambda: _begin(populations, plan))
        while True:
            match ray.get(population.next.remote(plan.name)):
                case Ended(result):
                    return result
                case Failed(kind, text):
                    raise kind(text)
                case point:
                    yield point
    except RayActorError:
        raise RunFailed(REPLACED) from None
    finally:
        with suppress(RayActorError):
            _leave(populations, plan)


def _begin(populations: Sequence[ActorHandle], plan: Plan) -> ActorHandle:
    """Where a process of this trial was killed, its run may still have a slot, which is not at work any more."""
    _leave(populations, plan)
    room = ray.get([each.room.remote() for each in populations])
    chosen = populations[room.index(max(room))]
    ray.get(chosen.begin.remote(plan))
    return chosen


def _leave(populations: Sequence[ActorHandle], plan: Plan) -> None:
    ray.get([each.leave.remote(plan.name) for each in populations])


def _patiently(ask: Callable[[], ActorHandle]) -> ActorHandle:
    """Try again while a process that has ended is replaced."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except ActorUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
