"""The calls to actors that are in progress, and what is done with each when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ray.exceptions import RayError

from rlx2_ray.distributed import actors
from rlx2_ray.distributed.actors import Reference


class Task(NamedTuple):
    """Work in progress: what to do with its value, and what to do where the actor died over it."""

    kind: str  # "rollout", "learner" or "evaluator"
    handle: Callable[[Any], None]
    lose: Callable[[RayError], None]
    abandon: Callable[[], None] | None = None  # end it, where the run can do without it
    env_steps: int = 0  # that it is to take
    updates: int = 0  # that it is to do


class Tasks:
    """Tasks by their references, in the order in which they were handed out."""

    def __init__(
        self, note_done: Callable[[], None], note_success: Callable[[str], None], before_failure: Callable[[], None]
    ) -> None:
        """`note_success` is told the kind; `before_failure` is called before an error of the work itself is raised."""
        self._note_done = note_done
        self._note_success = note_success
        self._before_failure = before_failure
        self._pending: dict[Reference, Task] = {}

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def env_steps(self) -> int:
        return sum(task.env_steps for task in self._pending.values())

    @property
    def updates(self) -> int:
        return sum(task.updates for task in self._pending.values())

    def kinds(self) -> list[str]:
        return [task.kind for task in self._pending.values()]

    def add(self, reference: Reference, task: Task) -> None:
        self._pending[reference] = task

    def forget(self, kind: str) -> None:
        """Give up those of a kind, whatever becomes of them."""
        self._pending = {reference: task for reference, task in self._pending.items() if task.kind != kind}

    def take_what_is_done(self, timeout_s: float) -> None:
        """Take in all that is done as soon as something is, or nothing after `timeout_s`."""
        if not self._pending:
            return
        for reference in actors.wait_for_some(list(self._pending), timeout_s):
            if reference in self._pending:  # what came before may have taken in all, or given it up
                self._finish(reference)

    def abandon(self) -> None:
        """End those that the run can do without."""
        for reference, task in list(self._pending.items()):
            if task.abandon is not None:
                del self._pending[reference]
                task.abandon()

    def _finish(self, reference: Reference) -> None:
        task = self._pending.pop(reference)
        self._note_done()
        try:
            value = actors.get(reference)
        except RayError as error:
            if not actors.is_loss(error):
                self._before_failure()
                raise
            task.lose(error)
            return
        self._note_success(task.kind)
        task.handle(value)
