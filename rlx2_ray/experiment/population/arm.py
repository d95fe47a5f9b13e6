"""Many runs of one configuration, a seed each, as members of one population: the runs of an arm.

Each has a directory of its own below the arm's and is a run like any other. Slots are refilled: where there are more
seeds than slots, the next begins where one has ended or failed. One that fails ends alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import NamedTuple

from rlx2_ray import plugins
from rlx2_ray.agents.population.memory import choose_slots, member_bytes, planned_rows
from rlx2_ray.agents.population.shapes import Shapes
from rlx2_ray.envs import modules
from rlx2_ray.experiment import session
from rlx2_ray.experiment.display import Display, make_display
from rlx2_ray.experiment.interruption import StopWish, stop_on_signals
from rlx2_ray.experiment.population import plan_file
from rlx2_ray.experiment.population.lanes import Physics
from rlx2_ray.experiment.population.lockstep import Lockstep
from rlx2_ray.experiment.population.member import SlotMember
from rlx2_ray.experiment.population.member_display import MemberDisplay
from rlx2_ray.experiment.population.physics import physics_in
from rlx2_ray.experiment.population.plan_file import Plan
from rlx2_ray.experiment.population.training import TURN, train_in_slot
from rlx2_ray.experiment.run import Training
from rlx2_ray.experiment.session import Host, Result
from rlx2_ray.runs.directory import Tracking, is_run
from rlx2_ray.runs.lock import FolderLock
from rlx2_ray.tracking import consent
from rlx2_ray.tracking.uri import hide_secret
from rlx2_ray.types import BadInput, Interrupted, RunFailed, Spaces

PAUSE_S = 0.2  # until it is looked again whether somebody wishes to stop


class Ended(NamedTuple):
    """What became of the runs of an arm, by seed."""

    directory: Path
    results: dict[int, Result]


def start(plan: Plan, slots: int | None, directory: Path) -> Ended:
    """Train new runs, which a person has described, in `directory`. Raises BadInput with nothing written.

    `slots`: how many at a time; None: as many as there is memory for.
    """
    config = plan.config
    plugins.allow(each.path for each in config.plugins)
    plugins.load(config.plugins)
    modules.allow_typed([config.env])
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BadInput(f"--out is {directory}, which exists and is not an empty directory: give another one.")
    spaces = session.check(config)
    shapes = Shapes.of(config, spaces)
    chosen = choose_slots(shapes, planned_rows(config), len(plan.seeds), slots, config.device)
    plan = plan._replace(slots=chosen, tracking_uri=hide_secret(plan.tracking_uri))
    plan_file.write(directory, plan)
    consent.remember(plan.tracking_uri)
    return _work(plan, spaces, directory)


def resume(directory: Path, tracking_uri: str | None = None) -> Ended:
    """Go on with all runs that have not ended; what has failed is tried again.

    `tracking_uri`: they are tracked there from now on.
    """
    plan = plan_file.read(directory)
    if tracking_uri is not None:
        consent.remember(hide_secret(tracking_uri))
        plan = plan._replace(tracking_uri=hide_secret(tracking_uri))
        plan_file.write(directory, plan)
    consent.check_own(plan.tracking_uri, "", directory)
    spaces = session.check(plan.config)
    shapes = Shapes.of(plan.config, spaces)
    choose_slots(shapes, planned_rows(plan.config), len(plan.seeds), plan.slots, plan.config.device)
    return _work(plan, spaces, directory, tracking_uri)


def _work(plan: Plan, spaces: Spaces, directory: Path, retracked: str | None = None) -> Ended:
    """`retracked`: where runs that have begun are tracked from now on."""
    lock = FolderLock(directory)
    lock.acquire()
    try:
        session.prepare(plan.config)
        with physics_in(plan.processes, plan.slots, spaces) as physics, stop_on_signals() as wish:
            display = make_display(plan.config.steps * len(plan.seeds))
            try:
                return _Arm(plan, spaces, directory, retracked, physics, display, wish).train()
            finally:
                display.close()
    finally:
        lock.release()


class _Arm:
    def __init__(
        self,
        plan: Plan,
        spaces: Spaces,
        directory: Path,
        retracked: str | None,
        physics: Physics,
        display: Display,
        wish: StopWish,
    ) -> None:
        self._plan, self._directory, self._display, self._wish = plan, directory, display, wish
        shapes = Shapes.of(plan.config, spaces)
        rows = planned_rows(plan.config)
        self._lockstep = Lockstep(shapes, plan.slots, rows, plan.config.device, physics)
        self._physics, self._retracked = physics, retracked
        self._train = train_in_slot(self._lockstep, goes_on=True)
        self._waiting = list(plan.seeds)
        self._trainings: dict[int, Training] = {}  # by seed, of those that have a slot
        self._results: dict[int, Result] = {}
        self._failures: dict[int, str] = {}
        self._interrupted = 0
        display.say(_heading(plan, directory, member_bytes(shapes, rows)))

    def train(self) -> Ended:
        with ExitStack() as stack:
            stack.callback(self._end_all)
            self._refill()
            while self._trainings:
                if any(member.needs_attention for member in self._lockstep.ready):
                    self._attend()
                    continue
                self._lockstep.turn([member for member in self._lockstep.ready if not member.rests])
                members = self._lockstep.members
                self._physics.look(PAUSE_S if all(member.rests for member in members) else 0)
                self._show(members)
        return self._outcome()

    def _attend(self) -> None:
        """Let every member whose next step is not the population's to take go on by itself, in the order of slots."""
        for member in self._lockstep.ready:
            if member.needs_attention:
                self._go_on(member.run.config.seed)
        self._refill()

    def _refill(self) -> None:
        while self._waiting and self._lockstep.has_room and not self._wish.wished:
            seed = self._waiting.pop(0)
            self._trainings[seed] = self._begin(seed)
            self._go_on(seed)

    def _begin(self, seed: int) -> Training:
        path = self._directory / self._plan.name_of(seed)
        host = Host(
            lambda total: MemberDisplay(self._display, seed), lambda: nullcontext(self._wish), is_one_of_many=True
        )
        if is_run(path):
            return session.go_on(path, self._train, host, tracking_uri=self._retracked)
        tracking = Tracking(self._plan.tracking_uri, self._plan.experiment)
        return session.begin(self._plan.config_of(seed), path, tracking, self._train, host)

    def _go_on(self, seed: int) -> None:
        """Until the member's next steps are the population's to take, or it has ended, as whatever."""
        training = self._trainings[seed]
        try:
            while next(training) is not TURN:
                pass
            return
        except StopIteration as end:
            self._results[seed] = end.value
        except Interrupted:
            self._interrupted += 1
        except (RunFailed, BadInput) as failure:
            self._failures[seed] = str(failure)
            self._display.say(f"seed {seed}: {failure}")
        del self._trainings[seed]

    def _show(self, members: Sequence[SlotMember]) -> None:
        def status() -> dict[str, str]:
            return {"running": str(len(members)), "ended": str(len(self._results)), "failed": str(len(self._failures))}

        steps = self._plan.config.steps * (len(self._results) + len(self._failures))
        self._display.advance(steps + sum(each.env_steps for each in members), status)

    def _end_all(self) -> None:
        """Where something ends all at once: leave runs that resume."""
        for training in self._trainings.values():
            training.close()

    def _outcome(self) -> Ended:
        """Raises Interrupted or RunFailed where not all runs have ended."""
        again = f"'rlx2 resume {self._directory}'"
        if self._interrupted or self._waiting:
            raise Interrupted(f"Stopped; {again} goes on.")
        if self._failures:
            seed, failure = next(iter(self._failures.items()))
            raise RunFailed(
                f"{len(self._failures)} of {len(self._plan.seeds)} runs failed, first that of seed {seed} "
                f"({failure.rstrip('.')}): {again} tries again."
            )
        return Ended(self._directory, {seed: self._results[seed] for seed in self._plan.seeds})


def _heading(plan: Plan, directory: Path, each: int) -> str:
    config = plan.config
    return (
        f"{config.env.id}, {config.algo.upper()}, {config.method}: {len(plan.seeds)} runs of {config.steps:,} env "
        f"steps, {plan.slots} at a time on {config.device}, where each takes {math.ceil(each / 2**20)} MiB\n"
        f"Into {directory}, tracked at {plan.tracking_uri}"
    )
