"""One run as the only member of a population, which is how a member is resumed by itself."""

from __future__ import annotations

from rlx2_ray.agents.population.memory import planned_rows
from rlx2_ray.agents.population.shapes import Shapes
from rlx2_ray.experiment.population.lanes import LocalPhysics
from rlx2_ray.experiment.population.lockstep import Lockstep
from rlx2_ray.experiment.population.training import TURN, train_in_slot
from rlx2_ray.experiment.run import Run, Training


def train_alone(run: Run, resume: bool) -> Training:
    """Train to the end. Raises RunFailed or Interrupted, a checkpoint kept."""
    config = run.config
    lockstep = Lockstep(Shapes.of(config, run.spaces), 1, planned_rows(config), config.device, LocalPhysics())
    training = train_in_slot(lockstep, goes_on=False)(run, resume)
    try:
        while True:
            try:
                point = next(training)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if point is not TURN:
                yield point
                continue
            (member,) = lockstep.members
            while not member.needs_attention:
                lockstep.turn([member])
    finally:
        training.close()
