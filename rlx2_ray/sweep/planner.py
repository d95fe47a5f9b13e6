"""The trials of a sweep: its base configuration with the values that were drawn for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rlx2_ray.config import Tree, resolve
from rlx2_ray.sweep.description.files import SweepDescription
from rlx2_ray.sweep.description.space import Space, config_of, trial_name, unpack
from rlx2_ray.sweep.description.space_tune import clip, to_tune
from rlx2_ray.sweep.description.tune_section import PbtScheduler
from rlx2_ray.sweep.job import Plan

INDEX = "trial"  # in Tune's configuration of a trial: which of the drawn samples it has

Sample = Mapping[str, Any]  # parameter name -> value


@dataclass(frozen=True)
class SweepPlanner:
    """With random search all samples are drawn before the first trial, so that a resumed sweep has the same ones."""

    base: Tree
    space: Space
    mutations: Space  # what PBT changes in a run
    samples: tuple[Sample, ...]  # empty with Optuna, which draws each after it has seen others
    perturbation_interval: int | None = None  # of PBT, which takes a checkpoint then

    def plan(self, sampled: Mapping[str, Any], trial_id: str) -> Plan:
        index = _index(sampled, trial_id)
        drawn = sampled if index is None else self.samples[index]
        label = trial_id if index is None else f"{index:05}"
        changes = unpack(self.space, drawn)
        mutations = tuple(parameter for parameter in self.mutations if parameter.name in sampled)
        mutated = unpack(mutations, clip(mutations, sampled))
        moments = {"checkpoint.interval": self.perturbation_interval} if self.perturbation_interval else {}
        config = resolve(config_of(self.base, {**moments, **changes, **mutated}))
        return Plan(trial_name({key: changes[key] for key in changes if key not in mutated}, label), config, "trial")


def _index(sampled: Mapping[str, Any], trial_id: str) -> int | None:
    """Which sample; None where there are none.

    PBT gives a trial all of another's configuration, so its own number is that in its id, where Tune has one there.
    """
    _, underscore, number = trial_id.rpartition("_")
    return int(number) if underscore else sampled.get(INDEX)


def make_planner(description: SweepDescription) -> SweepPlanner:
    tune = description.tune
    is_random = tune.searcher.name == "random"
    drawn = _draw(description.space, tune.num_samples, tune.searcher.seed) if is_random else iter(())
    samples = tuple(itertools.islice(drawn, tune.budget.runs))
    interval = tune.scheduler.perturbation_interval if isinstance(tune.scheduler, PbtScheduler) else None
    return SweepPlanner(description.config, description.space, description.mutations, samples, interval)


def tune_space(planner: SweepPlanner) -> dict[str, Any]:
    """Tune's `param_space` of drawn samples; what PBT changes is there from the beginning."""
    from ray import tune

    mutated = {parameter.name for parameter in planner.mutations} & {parameter.name for parameter in planner.space}
    samples = planner.samples
    return {
        INDEX: tune.grid_search(list(range(len(samples)))),
        **{name: tune.sample_from(lambda config, name=name: samples[config[INDEX]][name]) for name in mutated},
    }


def _draw(space: Space, num_samples: int, seed: int) -> Iterator[Sample]:
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
