"""The populations that the trials of a campaign share, one a GPU: what they need, and the actors that they live in.

What no population can take is said before the start.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from rlx2_ray.agents.engines import check_population
from rlx2_ray.agents.population.memory import choose_slots, member_bytes, planned_rows
from rlx2_ray.agents.population.shapes import check_member, shapes_of_all
from rlx2_ray.agents.torch.device import gpus
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sweep.trials.job import Job
from rlx2_ray.sweep.trials.population_host import Needs, PopulationHost
from rlx2_ray.types import BadInput, Spaces

if TYPE_CHECKING:
    from ray.actor import ActorHandle

MOST_SLOTS = 128
CALLS = 8  # to an actor beside those of its runs
CLOSING_S = 60.0


class Members(NamedTuple):
    """What is known beforehand of the trials."""

    configs: Mapping[str, tuple[ExperimentConfig, Spaces]]  # by name: whatever may be unlike the others
    most: int
    concurrent: int | None  # None: as many as fit
    processes: int | None  # that step environments; None: one for every CPU but one


class Populations(NamedTuple):
    members: Members
    needs: Needs  # of each
    number: int

    @property
    def slots(self) -> int:
        return self.number * self.needs.slots

    @property
    def cpus(self) -> int:
        return self.number * self.cpus_each

    @property
    def cpus_each(self) -> int:
        return 1 + self.needs.processes

    def spread(self, count: int) -> Populations:
        """Over so many devices."""
        return _of(self.members, self.needs, count)

    def sentence(self) -> str:
        needs = self.needs
        where = (
            f"a population on {needs.device}" if self.number == 1 else f"{self.number} populations on {needs.device}"
        )
        each = math.ceil(member_bytes(needs.shapes, needs.rows) / 2**20)
        stepping = {0: "which steps", 1: "a process steps"}.get(needs.processes, f"{needs.processes} processes step")
        return f"Trials are slots of {where}: {self.slots} at a time, {each} MiB each; {stepping} their environments."


def plan_populations(members: Members) -> Populations:
    """On the GPUs of this machine, or the device that the trials name. Raises BadInput for what does not fit."""
    named = members.configs
    first_name, (first, spaces) = next(iter(named.items()))
    for name, (config, own) in named.items():
        if (config.engine, config.device) != (first.engine, first.device):
            raise BadInput(
                f"engine is {config.engine} on {config.device} in {name}, but {first.engine} on {first.device} in "
                f"{first_name}, and a population has all trials or none: sweep them apart."
            )
        try:
            check_population(config)
        except BadInput as error:
            raise BadInput(f"Trial {name}: {error}") from None
        if own != spaces:
            raise BadInput(
                f"env.id is {config.env.id} in {name}, but {first.env.id} in {first_name}, whose spaces are others, "
                "and trials of a population share these: sweep them apart."
            )
    shapes = shapes_of_all([config for config, _ in named.values()], spaces)
    for name, (config, own) in named.items():
        try:
            check_member(shapes, config, own)
        except BadInput as error:
            raise BadInput(f"Trial {name}: {error}") from None
    rows = max(planned_rows(config) for config, _ in named.values())
    count = gpus() if first.device == "cuda" and first.runtime.address is None else 1
    return _of(members, Needs(shapes, spaces, 0, rows, first.device, 0), count)


def _of(members: Members, needs: Needs, count: int) -> Populations:
    most = math.ceil(min(members.most, MOST_SLOTS * count) / count)
    asked = members.concurrent and math.ceil(min(members.concurrent, members.most) / count)
    slots = choose_slots(needs.shapes, needs.rows, asked or most, asked, needs.device, "--concurrent")
    cpus = len(os.sched_getaffinity(0)) // count
    processes = max(1, cpus - 1) if members.processes is None else members.processes
    return Populations(members, needs._replace(slots=slots, processes=min(processes, slots)), count)


@contextmanager
def running(job: Job, populations: Populations) -> Iterator[tuple[ActorHandle, ...]]:
    """An actor for each, on the Ray that there is; what is in a slot at the end is left as a run that resumes."""
    import ray

    needs = populations.needs
    host = ray.remote(PopulationHost).options(
        num_cpus=populations.cpus_each,
        num_gpus=1 if needs.device == "cuda" else 0,
        max_concurrency=2 * needs.slots + CALLS,
        max_restarts=-1,
    )
    actors = tuple(host.remote(job, needs) for _ in range(populations.number))
    try:
        yield actors
    finally:
        for actor in actors:
            _end(actor)


def _end(actor: Any) -> None:
    import ray
    from ray.exceptions import RayError

    with suppress(RayError):
        ray.get(actor.close.remote(), timeout=CLOSING_S)
    ray.kill(actor)
