"""The one place that chooses how a structure evolves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlx2_ray.agents.evolution.base import TopologyEvolution
from rlx2_ray.agents.evolution.projection import Projection
from rlx2_ray.agents.evolution.pruning import Pruning
from rlx2_ray.agents.evolution.regrowth import Regrowth
from rlx2_ray.config import TopologyConfig
from rlx2_ray.sparse.plan import NetworkPlan
from rlx2_ray.sparse.schedule import PruningSchedule, TopologySchedule
from rlx2_ray.types import Floats


def make_evolution(
    config: TopologyConfig,
    plan: NetworkPlan,
    update_interval: int,
    generator: np.random.Generator,
    fresh: Sequence[Floats] = (),
) -> TopologyEvolution:
    """Of one model.

    Args:
        plan: the model's.
        update_interval: learner updates per optimizer call, 1 or the policy delay.
        generator: what growth by chance draws from.
        fresh: with rule groups all weights of the model's layers, (outputs, inputs) each, before the first update.
    """
    interval = config.interval
    if config.clock == "learner":
        interval = max(1, interval // update_interval)
    start, end = config.start_update // update_interval, config.end_update // update_interval
    if config.rule == "prune":
        return Pruning(PruningSchedule(interval, start, end), [layer.active for layer in plan.layers])
    schedule = TopologySchedule(interval, end, config.drop_fraction, config.drop_schedule == "cosine", start)
    if config.rule == "groups":
        return Projection(schedule, config.group, fresh)
    return Regrowth(config, schedule, generator) if config.rule in ("set", "rigl") else TopologyEvolution()
