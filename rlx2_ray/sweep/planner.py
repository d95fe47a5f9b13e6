"""The trials of a sweep, or of a queue of them: the configuration of each with the values that were drawn for it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from rlx2_ray.config import Tree, resolve
from rlx2_ray.sweep.description.queue import Member, QueueDescription
from rlx2_ray.sweep.description.space import Space, config_of, trial_name, unpack
from rlx2_ray.sweep.description.space_tune import clip, to_mutations, to_tune
from rlx2_ray.sweep.description.tune_section import PbtScheduler
from rlx2_ray.sweep.trials.job import Plan, Planner

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

INDEX = "trial"  # in Tune's configuration of a trial: which of the drawn samples it has
LABEL = "label"  # there: how the name of a trial begins that is not drawn beforehand


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
        sample = (
            Sample(self.members[0], sampled, sampled.get(LABEL, trial_id)) if index is None else self.samples[index]
        )
        changes = sample.changes
        mutations = tuple(parameter for parameter in self.mutations if parameter.name in sampled)
        mutated = unpack(mutations, clip(mutations, sampled))
        moments = {"checkpoint.interval": self.perturbation_interval} if self.perturbation_interval else {}
        config = resolve(config_of(sample.member.sweep.config, {**moments, **changes, **mutated}))
        name = trial_name({key: changes[key] for key in changes if key not in mutated}, sample.label)
        return Plan(name, config, "trial", sample.member.name)

    def planned(self, name: str) -> Plan | None:
        return self._by_name.get(name)

    @property
    def planned_names(self) -> Iterable[str]:
        """The names of the samples, in their order."""
        return self._by_name

    @cached_property
    def _by_name(self) -> dict[str, Plan]:
        mutated = {parameter.name for parameter in self.mutations}
        sampled = (
            {INDEX: index, **{key: value for key, value in sample.drawn.items() if key in mutated}}
            for index, sample in enumerate(self.samples)
        )
        return {plan.name: plan for plan in (self.plan(each, "") for each in sampled)}


def name_of(planner: Planner, trial: Trial) -> str:
    """The name of one of Tune's trials."""
    return planner.plan(trial.config, trial.trial_id).name


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


def tune_space(planner: SweepPlanner, begun: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns Tune's `param_space` of drawn samples; what PBT changes is there from the beginning.

    `begun`: name of a trial -> the values that it has come to have.
    """
    from ray import tune

    names = list(planner.planned_names)
    mutations = to_mutations(planner.mutations)

    def first(config: Mapping[str, Any], name: str) -> Any:
        index = config[INDEX]
        known = begun.get(names[index], planner.samples[index].drawn)
        return known[name] if name in known else _sample(mutations[name])

    return {
        INDEX: tune.grid_search(list(range(len(planner.samples)))),
        **{name: tune.sample_from(partial(first, name=name)) for name in mutations},
    }


def _sample(mutation: Any) -> Any:
    """As PBT does it."""
    return random.choice(mutation) if isinstance(mutation, list) else mutation.sample()


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
    """Every grid point so many times, with values of its own for the rest; points that differ in `seed` share them."""
    import numpy as np

    generator = np.random.RandomState(seed)  # what Tune's domains take
    domains = to_tune(space)
    grids = [[(name, value) for value in domain["grid_search"]] for name, domain in domains.items() if _is_grid(domain)]
    for _ in range(num_samples):
        drawn: dict[tuple[Any, ...], dict[str, Any]] = {}  # by the values of a point but for its seed
        for point in itertools.product(*grids):
            chosen = dict(point)
            arm = tuple(value for name, value in point if name != "seed")
            if arm not in drawn:
                drawn[arm] = {
                    name: domain.sample(random_state=generator)
                    for name, domain in domains.items()
                    if name not in chosen
                }
            values = chosen | drawn[arm]
            yield {name: values[name] for name in domains}


def _is_grid(domain: Any) -> bool:
    return isinstance(domain, dict)
