"""The trials of a sweep, or of a queue of them: the configuration of each with the values that were drawn for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from rlx2_ray.config import Tree, resolve
from rlx2_ray.sweep.description.queue import Member, QueueDescription
from rlx2_ray.sweep.description.space import Space, config_of, trial_name, unpack
from rlx2_ray.sweep.description.space_tune import clip, to_tune
from rlx2_ray.sweep.description.tune_section import PbtScheduler
from rlx2_ray.sweep.trials.job import Plan

INDEX = "trial"  # in Tune's configuration of a trial: which of the drawn samples it has


class Sample(NamedTuple):
    """What makes a trial: the sweep that it is of, what was drawn there, and how its name begins."""

    member: Member
    drawn: Mapping[str, Any]  # parameter name -> value
    label: str

    @property
    def changes(self) -> Tree:
        return unpack(self.member.sweep.space, self.drawn)


@dataclass(frozen=True)
class SweepPlanner:
    """With random search all samples are drawn before the first trial, so that a resumed sweep has the same ones."""

    members: tuple[Member, ...]
    mutations: Space  # what PBT changes in a run
    samples: tuple[Sample, ...]  # empty with Optuna, which draws each after it has seen others
    perturbation_interval: int | None = None  # of PBT, which takes a checkpoint then

    def plan(self, sampled: Mapping[str, Any], trial_id: str) -> Plan:
        index = _index(sampled, trial_id)
        sample = Sample(self.members[0], sampled, trial_id) if index is None else self.samples[index]
        changes = sample.changes
        mutations = tuple(parameter for parameter in self.mutations if parameter.name in sampled)
        mutated = unpack(mutations, clip(mutations, sampled))
        moments = {"checkpoint.interval": self.perturbation_interval} if self.perturbation_interval else {}
        config = resolve(config_of(sample.member.sweep.config, {**moments, **changes, **mutated}))
        name = trial_name({key: changes[key] for key in changes if key not in mutated}, sample.label)
        return Plan(name, config, "trial", sample.member.name)


def _index(sampled: Mapping[str, Any], trial_id: str) -> int | None:
    """Which sample; None where there are none.

    PBT gives a trial all of another's configuration, so its own number is that in its id, where Tune has one there.
    """
    _, underscore, number = trial_id.rpartition("_")
    return int(number) if underscore else sampled.get(INDEX)


def make_planner(queue: QueueDescription) -> SweepPlanner:
    samples = tuple(itertools.islice(_draw_all(queue.members), queue.tune.budget.runs))
    first = queue.members[0].sweep  # the only one, where it has a scheduler
    scheduler = first.tune.scheduler
    interval = scheduler.perturbation_interval if isinstance(scheduler, PbtScheduler) else None
    return SweepPlanner(queue.members, first.mutations, samples, interval)


def tune_space(planner: SweepPlanner) -> dict[str, Any]:
    """Returns Tune's `param_space` of drawn samples; what PBT changes is there from the beginning."""
    from ray import tune

    space = planner.members[0].sweep.space
    mutated = {parameter.name for parameter in planner.mutations} & {parameter.name for parameter in space}
    samples = planner.samples
    return {
        INDEX: tune.grid_search(list(range(len(samples)))),
        **{name: tune.sample_from(lambda config, name=name: samples[config[INDEX]].drawn[name]) for name in mutated},
    }


def _draw_all(members: Iterable[Member]) -> Iterator[Sample]:
    """Those of the first member, then those of the second; members of one name are counted on."""
    numbers: dict[str, Iterator[int]] = {}
    for member in members:
        tune = member.sweep.tune
        if tune.searcher.name != "random":
            continue
        for drawn in _draw(member.sweep.space, tune.num_samples, tune.searcher.seed):
            number = next(numbers.setdefault(member.name, itertools.count()))
            yield Sample(member, drawn, f"{member.name}-{number:05}".removeprefix("-"))


def _draw(space: Space, num_samples: int, seed: int) -> Iterator[dict[str, Any]]:
    """Every grid point so many times, with values of its own for the rest."""
    import numpy as np

    generator = np.random.RandomState(seed)  # what Tune's domains take
    domains = to_tune(space)
    grids = [[(name, value) for value in domain["grid_search"]] for name, domain in domains.items() if _is_grid(domain)]
    for _ in range(num_samples):
        for point in itertools.product(*grids):
            chosen = dict(point)
            yield {
                name: chosen[name] if name in chosen else domain.sample(random_state=generator)
                for name, domain in domains.items()
            }


def _is_grid(domain: Any) -> bool:
    return isinstance(domain, dict)
