"""The environments that a sweep's trials may have, so that what its person has typed can be allowed."""

from __future__ import annotations

from rlx2_ray.sweep.description.queue import parse_queue
from rlx2_ray.sweep.sweeping import Sweep


def test_every_environment_of_a_sweep_is_known_beforehand() -> None:
    space = {"env.id": {"choice": ["a:X-v0", "b:Y-v0"]}, "agent.tau": {"uniform": [0.1, 0.2]}}
    sweep = Sweep(parse_queue({"param_space": space, "tune": {"num_samples": 2}}))
    assert {env.id for env in sweep.environments} == {"a:X-v0", "b:Y-v0"}


def test_environments_of_a_queue() -> None:
    members = [
        {"name": name, "env": {"id": f"{name}:X-v0"}, "param_space": {"seed": {"grid": [0, 1]}}} for name in "ab"
    ]
    sweep = Sweep(parse_queue({"queue": members}))
    assert {env.id for env in sweep.environments} == {"a:X-v0", "b:X-v0"}
