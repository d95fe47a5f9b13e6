"""What a sweep asks of its machine before it starts."""

from __future__ import annotations

from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.sweeping import Sweep
from rlx2_ray.sweep.tuning import trial_cpus


def test_its_ray_has_room_for_the_largest_trial() -> None:
    """Else the largest would wait for ever. With 4 rollouts and 4 shards come a learner, an evaluator and the trial."""
    keys = "runtime.kind, runtime.rollout_actors, runtime.replay_shards"
    sweep = Sweep(
        parse_queue({"param_space": {keys: {"grid": [["inline", 1, 1], ["actors", 1, 1], ["actors", 4, 4]]}}})
    )
    assert max(map(trial_cpus, sweep.examples)) == 11
