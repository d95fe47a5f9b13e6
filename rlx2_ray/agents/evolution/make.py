"""How structures evolve, by the name of a rule: the one place that chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rlx2_ray.agents.evolution.base import LayerAtEvent, TopologyEvolution
from rlx2_ray.agents.evolution.projection import Projection
from rlx2_ray.agents.evolution.pruning import Pruning
from rlx2_ray.agents.evolution.regrowth import Regrowth
from rlx2_ray.agents.evolution.unit_pruning import UnitPruning
from rlx2_ray.config import TopologyConfig
from rlx2_ray.registry import Registry
from rlx2_ray.sparse.plan import NetworkPlan
from rlx2_ray.sparse.schedule import PruningSchedule, TopologySchedule
from rlx2_ray.topology_rules import TOPOLOGY_RULES
from rlx2_ray.types import BadInput, Floats


class Ingredients(NamedTuple):
    """What the evolution of one model is made of. Times are optimizer calls of the model."""

    config: TopologyConfig
    plan: NetworkPlan
    interval: int
    start: int
    end: int
    generator: np.random.Generator  # what growth by chance draws from
    fresh: Callable[[], Sequence[Floats]]  # all weights of its layers, (outputs, inputs) each, before the first update
    of_units: bool = False  # whether every unit keeps its number of weights
    holds: Callable[[], bool] | None = None  # whether the return does, where pruning goes by that

    def schedule(self) -> TopologySchedule:
        """The events of a rule that has a drop fraction."""
        config = self.config
        return TopologySchedule(
            self.interval, self.end, config.drop_fraction, config.drop_schedule == "cosine", self.start
        )

    def chance(self, layer: LayerAtEvent) -> Floats:
        """Scores that know nothing of the layer, in [0, 1)."""
        return self.generator.random(layer.weights.shape, dtype=np.float32)


EVOLUTIONS: Registry[Callable[[Ingredients], TopologyEvolution]] = Registry("topology.rule")


@EVOLUTIONS.register("dense")
def dense(given: Ingredients) -> TopologyEvolution:
    return TopologyEvolution()


@EVOLUTIONS.register("static")
def static(given: Ingredients) -> TopologyEvolution:
    return TopologyEvolution()


@EVOLUTIONS.register("set")
def grow_by_chance(given: Ingredients) -> TopologyEvolution:
    return Regrowth(given.schedule(), given.config.drop, given.chance, given.of_units)


@EVOLUTIONS.register("rigl")
def grow_by_gradient(given: Ingredients) -> TopologyEvolution:
    return Regrowth(given.schedule(), given.config.drop, lambda layer: np.abs(layer.gradient), given.of_units)


@EVOLUTIONS.register("prune")
def prune(given: Ingredients) -> TopologyEvolution:
    schedule = PruningSchedule(given.interval, given.start, given.end)
    return Pruning(schedule, given.plan.layers, given.holds)


@EVOLUTIONS.register("structured")
def structured(given: Ingredients) -> TopologyEvolution:
    return UnitPruning(PruningSchedule(given.interval, given.start, given.end), given.plan, given.holds)


@EVOLUTIONS.register("groups")
def groups(given: Ingredients) -> TopologyEvolution:
    return Projection(given.schedule(), given.config.group, given.fresh())


def make_evolution(
    config: TopologyConfig,
    plan: NetworkPlan,
    update_interval: int,
    generator: np.random.Generator,
    fresh: Callable[[], Sequence[Floats]],
    of_units: bool = False,
    holds: Callable[[], bool] | None = None,
) -> TopologyEvolution:
    """The evolution of one model by the configured rule.

    Args:
        plan: the model's.
        update_interval: learner updates per optimizer call, 1 or the policy delay.
        generator: what growth by chance draws from.
        fresh: gives all weights of the model's layers, (outputs, inputs) each, as they are before the first update.
        of_units: whether every unit keeps its number of weights.
        holds: whether the return does at this moment; None: pruning does not go by it.
    """
    interval = config.interval
    if config.clock == "learner":
        interval = max(1, interval // update_interval)
    start, end = config.start_update // update_interval, config.end_update // update_interval
    given = Ingredients(config, plan, interval, start, end, generator, fresh, of_units, holds)
    evolution = EVOLUTIONS[config.rule](given)
    if config.rule not in TOPOLOGY_RULES:
        if not isinstance(evolution, TopologyEvolution):
            raise BadInput(
                f"topology.rule is {config.rule}, which gave a {type(evolution).__name__} and no TopologyEvolution: "
                "correct it, as docs/extend.md says."
            )
        evolution.rule_of_others = config.rule
    evolution.batches = config.growth_batches
    return evolution
