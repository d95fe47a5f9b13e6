"""What all trials of a sweep have in common, and what one of them is: plain values that go to the trials' processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.runs.directory import Tracking
from rlx2_ray.tracking import tags

if TYPE_CHECKING:
    from ray.actor import ActorHandle


class Plan(NamedTuple):
    """What one trial is."""

    name: str  # of its directory; the same name is the same run
    config: ExperimentConfig
    purpose: str  # "trial", "dense", "search" or "confirm"
    member: str = ""  # of a queue


class Planner(Protocol):
    def plan(self, sampled: Mapping[str, Any], trial_id: str) -> Plan:
        """Returns the trial that Tune means by its configuration and its id; the same at every call."""
        ...

    def planned(self, name: str) -> Plan | None:
        """Returns the trial of that name; None where it is not known beforehand."""
        ...


class Job(NamedTuple):
    trials: Path  # holds the run directories
    tracking: Tracking  # of the sweep itself
    store: str  # the URI in `tracking` with its secret: what is here goes from memory to memory
    planner: Planner
    floor: Path | None = None  # file of the returns below which a trial is not worth going on with
    archive: Path | None = None  # of finished runs, which are not run again
    modules: tuple[str, ...] = ()  # that may be imported for an environment
    plugins: tuple[str, ...] = ()  # places of the person's own code
    stopped: frozenset[str] = frozenset()  # names of trials that the scheduler ended in an earlier process
    populations: tuple[ActorHandle, ...] = ()  # in which the trials have slots; none: each is worked on in its process

    def directory(self, plan: Plan) -> Path:
        return self.trials / plan.name

    def tracking_of(self, plan: Plan) -> Tracking:
        own = {
            tags.TRIAL: plan.name,
            tags.PURPOSE: plan.purpose,
            tags.SEED: str(plan.config.seed),
            **({tags.MEMBER: plan.member} if plan.member else {}),
        }
        return self.tracking._replace(trial_key=f"{self.tracking.trial_key}-{plan.name}", tags=own)
