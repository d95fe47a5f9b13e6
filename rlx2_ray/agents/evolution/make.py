"""The one place that chooses how a structure evolves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.projection import Projection
from rlx2_ray.agents.evolution.pruning import Pruning
from rlx2_ray.agents.evolution.regrowth import Regrowth
from rlx2_ray.config import TopologyConfig
from rlx2_ray.sparse.plan import NetworkPlan
from rlx2_ray.sparse.schedule import PruningSchedule, TopologySchedule
from rlx2_ray.types import Floats


class Ingredients(NamedTuple):
    """What the evolution of one model is made of. Times are optimizer calls of the model."""

    config: TopologyConfig
    plan: NetworkPlan
    interval: int
    start: int
    end: int
    generator: np.random.Generator  # what growth by chance draws from
    fresh: Callable[[], Sequence[Floats]]  # all weights of its layers, (outputs, inputs) each, before the first update

    def schedule(self) -> TopologySchedule:
        """The events of a rule that has a drop fraction."""
        config = self.config
        return TopologySchedule(
            self.interval, self.end, config.drop_fraction, config.drop_schedule == "cosine", self.start
        )

    def chance(self, gradient: Floats) -> Floats:
        """Scores that know nothing of the gradient."""
        return self.generator.random(gradient.shape, dtype=np.float32)


EVOLUTIONS: dict[str, Callable[[Ingredients], TopologyEvolution]] = {
    "dense": lambda given: TopologyEvolution(),
    "static": lambda given: TopologyEvolution(),
    "set": lambda given: Regrowth(given.schedule(), given.config.drop, given.chance),
    "rigl": lambda given: Regrowth(given.schedule(), given.config.drop, np.abs),
    "prune": lambda given: Pruning(
        PruningSchedule(given.interval, given.start, given.end), [layer.active for layer in given.plan.layers]
    ),
    "groups": lambda given: Projection(given.schedule(), given.config.group, given.fresh()),
}


def make_evolution(
    config: TopologyConfig,
    plan: NetworkPlan,
    update_interval: int,
    generator: np.random.Generator,
    fresh: Callable[[], Sequence[Floats]],
) -> TopologyEvolution:
    """The evolution of one model by the configured rule.

    Args:
        plan: the model's.
        update_interval: learner updates per optimizer call, 1 or the policy delay.
        generator: what growth by chance draws from.
        fresh: gives all weights of the model's layers, (outputs, inputs) each, as they are before the first update.
    """
    interval = config.interval
    if config.clock == "learner":
        interval = max(1, interval // update_interval)
    start, end = config.start_update // update_interval, config.end_update // update_interval
    return EVOLUTIONS[config.rule](Ingredients(config, plan, interval, start, end, generator, fresh))
