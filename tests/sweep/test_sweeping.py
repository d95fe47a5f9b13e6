"""What a sweep asks of its machine before it starts."""

from __future__ import annotations

from rlx2_ray.config import Tree
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


def test_environments_whose_random_actions_are_played_are_those_with_a_dense_arm_and_another() -> None:
    def compared(space: Tree) -> list[str]:
        return list(Sweep(parse_queue({"param_space": space})).compared)

    assert compared({"method": {"grid": ["dense", "static"]}}) == ["Hopper-v5"]
    assert compared({"method": {"grid": ["dense"]}, "seed": {"grid": [0, 1]}}) == []
    assert compared({"sparsity.policy": {"grid": [0.5, 0.9]}}) == []
    both = "env.id, method"
    assert compared({both: {"grid": [["Ant-v5", "dense"], ["Ant-v5", "set"], ["Walker2d-v5", "dense"]]}}) == ["Ant-v5"]
