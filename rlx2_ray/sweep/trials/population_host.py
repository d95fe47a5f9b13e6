"""The actor in which a population lives: trials begin a run there, ask for what comes next of it, and leave it.

One thread does all the work, one turn of all runs at work after the other; calls come in threads of their own and wait.
A run is at work only while its trial waits for its next point, so that what a scheduler does with it does not depend on
how fast it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rlx2_ray import plugins
from rlx2_ray.agents.population.shapes import Shapes
from rlx2_ray.envs import modules
from rlx2_ray.experiment.population.lockstep import Lockstep
from rlx2_ray.experiment.population.member import SlotMember
from rlx2_ray.experiment.population.physics import physics_in
from rlx2_ray.experiment.population.training import TURN, train_in_slot
from rlx2_ray.experiment.run import Training
from rlx2_ray.experiment.session import Train
from rlx2_ray.sweep.trials.in_population import REPLACED, Ended, Failed, News
from rlx2_ray.sweep.trials.job import Job, Plan
from rlx2_ray.sweep.trials.opening import open_run
from rlx2_ray.tracking import consent
from rlx2_ray.tracking.uri import hide_secret
from rlx2_ray.types import BadInput, RunFailed, Spaces

PAUSE_S = 0.1  # until it is looked again whether a trial calls


class Needs(NamedTuple):
    """What a population is made of."""

    shapes: Shapes
    spaces: Spaces
    slots: int
    rows: int  # of a slot's replay, to begin with
    device: str
    processes: int  # that step environments; 0: its own


class _Run:
    """Of a trial: what it is asked, and what came of that."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.training: Training | None = None  # None: it waits for a slot
        self.is_asked = False
        self.is_left = False
        self.at_turn: SlotMember | None = None  # to be stepped
        self.news: News | None = None

    def has_stopped(self, ready: Sequence[SlotMember]) -> bool:
        """Whether its own next step is due, and not one with all others."""
        member = self.at_turn
        return self.is_asked and (member is None or (member in ready and member.needs_attention))


class PopulationHost:
    def __init__(self, job: Job, needs: Needs) -> None:
        consent.agree(hide_secret(job.store))  # as the person did who began the sweep
        modules.trust(job.modules)
        plugins.trust(job.plugins)
        self._job, self._needs = job, needs
        self._runs: dict[str, _Run] = {}  # by name of the trial
        self._changed = threading.Condition()
        self._is_ending = False
        self._breach: BaseException | None = None  # what ended the work, for which nothing was prepared
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    # What trials call

    def room(self) -> int:
        """Slots that are free, or will be."""
        with self._changed:
            return self._needs.slots - len(self._runs)

    def begin(self, plan: Plan) -> None:
        with self._changed:
            if self._breach is not None:
                os._exit(1)  # Ray makes another, whose device and memory are as new
            self._runs[plan.name] = _Run(plan)

    def next(self, name: str) -> News:
        """The next point of a run, or how it ended."""
        with self._changed:
            run = self._runs.get(name)
            if run is None:
                return Failed(RunFailed, REPLACED)
            run.is_asked = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: run.news is not None or self._breach is not None)
            if self._breach is not None:
                raise self._breach
            news, run.news, run.is_asked = run.news, None, False
            assert news is not None
            return news

    def leave(self, name: str) -> None:
        """Take a run out of its slot, where it has one."""
        with self._changed:
            run = self._runs.get(name)
            if run is not None:
                run.is_left = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._runs.get(name) is not run or self._breach is not None)

    def close(self) -> None:
        """Leave runs that resume, and end what steps environments."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        self._thread.join()

    # The work

    def _work(self) -> None:
        try:
            needs = self._needs
            with physics_in(needs.processes, needs.slots, needs.spaces) as physics:
                # Of this thread, as are torch's number of threads and what it does with tiny numbers.
                self._lockstep = Lockstep(needs.shapes, needs.slots, needs.rows, needs.device, physics)
                self._train: Train = train_in_slot(self._lockstep, goes_on=False)
                while self._is_to_go_on():
                    self._attend()
                    self._turn()
                for run in self._runs.values():
                    self._close(run)
        except BaseException as error:
            breach = error
            self._tell(lambda: setattr(self, "_breach", breach))

    def _is_to_go_on(self) -> bool:
        """Wait until there is something to do; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending or any(map(self._is_busy, self._runs.values())))
            return not self._is_ending

    def _is_busy(self, run: _Run) -> bool:
        if run.is_left or run.at_turn is not None:
            return True
        return run.is_asked and run.news is None and self._may_go_on(run)

    def _may_go_on(self, run: _Run) -> bool:
        """A new one needs a slot."""
        return run.training is not None or self._lockstep.has_room

    def _attend(self) -> None:
        """Let go of what was left, and let every run go on by itself whose next step is not one of all."""
        with self._changed:
            runs = list(self._runs.values())
        for run in runs:
            if run.is_left:
                self._close(run)
                self._tell(lambda name=run.plan.name: self._runs.pop(name))  # type: ignore[misc]
            elif run.news is None and run.has_stopped(self._lockstep.ready) and self._may_go_on(run):
                self._go_on(run)

    def _close(self, run: _Run) -> None:
        if run.training is not None:
            run.training.close()

    def _turn(self) -> None:
        at_turn = [run.at_turn for run in self._runs.values()]
        if not (members := [member for member in at_turn if member is not None]):
            return
        working = [member for member in self._lockstep.ready if member in members and not member.needs_attention]
        self._lockstep.turn([member for member in working if not member.rests])
        self._lockstep.physics.look(PAUSE_S if all(member.rests for member in members) else 0)

    def _go_on(self, run: _Run) -> None:
        """Until its next steps are the population's to take, or there is news of it."""
        run.at_turn = None
        try:
            run.training = run.training or open_run(self._job, run.plan, self._train)
            news: News = next(run.training)
        except StopIteration as end:
            news = Ended(end.value)
        except (RunFailed, BadInput) as failure:
            news = Failed(type(failure), str(failure))
        if news is TURN:
            run.at_turn = self._member_of(run)
        else:
            self._tell(lambda: setattr(run, "news", news))

    def _member_of(self, run: _Run) -> SlotMember:
        directory = self._job.directory(run.plan)
        return next(each for each in self._lockstep.members if each.run.directory.path == directory)

    def _tell(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()
