"""The one place that chooses a runtime."""

from __future__ import annotations

from rlx2_ray.distributed.cluster import prepare_environment
from rlx2_ray.experiment.inline import train_inline
from rlx2_ray.experiment.run import Run, Training


def train(run: Run, resume: bool) -> Training:
    """Train on the configured runtime; Ray and torch are imported only where they are used."""
    if run.config.engine == "population":
        from rlx2_ray.experiment.population.alone import train_alone

        return train_alone(run, resume)
    if run.config.runtime.kind == "inline":
        return train_inline(run, resume)
    if run.config.runtime.address is None:
        prepare_environment()
    from rlx2_ray.distributed.supervisor import train_on_actors

    return train_on_actors(run, resume)
